"""CSV: an image a line, its pixels row by row, a label before or behind them; or labels alone.

What is between them, commas, semicolons or tabs, the first line tells. Lines are read one by one,
so neither a long file nor an endless line takes much memory.
"""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from pipeline.data.files import names
from pipeline.data.files.class_labels import HIGHEST
from pipeline.data.files.holding import CHUNK_BYTES, Array, Holding
from pipeline.data.files.source_file import SourceFile, check_expansion
from pipeline.errors import DataError

FORM = "a CSV file"
LONGEST_LINE = 2**23  # bytes: an image of 1,024 x 1,024 pixels
MOST_LINES = 2**16  # at once, however short they are
MOST_VALUES = 256  # of a column, by which it is told whether it is the labels
# A file is text of this kind if it begins with a field and what ends one.
FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?[^,;\t\x00-\x08\x0e-\x1f]*([,;\t])")
# So it is if its first line is a number, or a name for labels, alone: the only column is labels.
ONE_COLUMN = re.compile(
    rb'(?:\xef\xbb\xbf)?"?(?:\d[\d.]*(?:e\+\d+)?|%b)"?\r?\n'
    % "|".join(names.KINDS["labels"]).encode(),
    re.IGNORECASE,
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Layout:
    """Which column is what.

    Attributes:
        columns: how many there are.
        label: which of them is the label, if there is one.
        header: whether the first line names them.
        named: whether it names the label.
        delimiter: what is between them.
    """

    columns: int
    label: int | None
    header: bool
    named: bool
    delimiter: str

    @property
    def pixels(self) -> list[int]:
        return [column for column in range(self.columns) if column != self.label]

    @property
    def notes(self) -> tuple[str, ...]:
        if self.label is None or self.named:
            return ()
        which = "last" if self.label else "first" if self.pixels else "only"
        return (f"the {which} column taken as labels",)


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is one."""
    return bool(ONE_COLUMN.match(start) or FIRST_FIELD.match(start))


def hold(file: SourceFile) -> Holding:
    """What `file` holds: by the names in its first line, or by how many columns there are.

    Raises:
        DataError: the columns are no square image with or without a label.
    """
    begun = FIRST_FIELD.match(file.start)
    with file.opened() as stream:
        first = _text(_line(stream, 1).removeprefix(BYTE_ORDER_MARK), 1)
    layout = _layout(first, begun[1].decode() if begun else ",")
    if layout.label is None and not _is_square(layout.columns):
        layout = replace(layout, label=_label_at_an_end(file, layout))
    return Holding.whole(
        FORM,
        f"{layout.columns} columns" if layout.pixels else "a column of labels",
        (lambda: _images(file, layout)) if layout.pixels else None,
        None if layout.label is None else lambda: _labels(file, layout),
        layout.notes,
    )


def _layout(first: str, delimiter: str) -> _Layout:
    fields = _fields(first, delimiter)
    columns = len(fields)
    words = [column for column, field in enumerate(fields) if not _is_number(field)]
    called = names.chosen(fields).get(("labels", "all"))
    if columns == 1 and (called or not words):
        return _Layout(columns, 0, bool(called), bool(called), delimiter)
    # pandas names columns without a name by their numbers.
    numbered = _are_numbers_in_order([field for field in fields if _is_number(field)])
    header = len(words) > 1 or numbered  # a single word may be the label
    named = called if header else None
    label: int | None = None
    if named:
        label = fields.index(named)
    elif not header and words in ([0], [columns - 1]):
        (label,) = words
    at_an_end = label is None and not words and _is_square(columns - 1)  # but at which?
    if not _is_square(columns - (label is not None or at_an_end)):
        raise DataError(
            f"read as CSV: found {columns} columns, expected the pixels of a square image, and a "
            "label in the first column or the last, or in one that the first line calls 'label'; "
            "no other"
        )
    return _Layout(columns, label, header, bool(named), delimiter)


def _label_at_an_end(file: SourceFile, layout: _Layout) -> int:
    """The first column or the last, by what they hold: in UCI's files labels are behind the pixels.

    Raises:
        DataError: one may be the labels as well as the other.
    """
    first, last = set[str](), set[str]()
    for _, lines in _lines(file, layout):
        for line in lines:
            for held, field in zip((first, last), _ends(line, layout.delimiter), strict=True):
                if len(held) < MOST_VALUES:
                    held.add(field)
    if _sureness(first) == _sureness(last):
        raise DataError(
            f"read as CSV: found {layout.columns} columns, of which the first may be the labels as "
            "well as the last, expected a first line that calls one of them 'label'"
        )
    return 0 if _sureness(first) > _sureness(last) else layout.columns - 1


def _sureness(held: set[str]) -> int:
    """How sure it is that these are labels, and no pixels: 2, if a word is among them.

    1, if they may be: whole numbers that differ, which a pixel in a corner often does not.
    """
    if not all(map(_is_number, held)):
        return 2
    return int(len(held) > 1 and all(float(field).is_integer() for field in held))


def _ends(line: str, delimiter: str) -> tuple[str, str]:
    """The first and the last field: without the others, where there are no quotes."""
    if '"' in line:
        first, *_, last = _fields(line, delimiter)
        return first, last
    return line.split(delimiter, 1)[0].strip(), line.rsplit(delimiter, 1)[-1].strip()


def _images(file: SourceFile, layout: _Layout) -> Iterator[Array]:
    for first, lines in _lines(file, layout):
        last = first + len(lines) - 1
        try:
            pixels = np.loadtxt(
                lines,
                np.float32,
                comments=None,
                delimiter=layout.delimiter,
                usecols=layout.pixels,
                ndmin=2,
                quotechar='"',
            )
        except ValueError as error:
            raise DataError(f"found no numbers in lines {first} to {last}: {error}") from None
        if len(pixels) != len(lines):
            raise DataError(f"found quotes over several lines, in {first} to {last}")
        yield pixels


def _labels(file: SourceFile, layout: _Layout) -> Array:
    found: list[str] = []
    longest = 0
    for _, lines in _lines(file, layout):
        labels = [_fields(line, layout.delimiter)[layout.label or 0] for line in lines]
        longest = max(longest, *map(len, labels))
        found += labels
        check_expansion(4 * longest * len(found), file.limit)
    try:
        numbers = np.array(found).astype(np.float64)
    except ValueError:
        return np.array(found)
    whole = (numbers >= 0) & (numbers <= HIGHEST) & (numbers == np.floor(numbers))
    # Text still, since another part may have names beside digits; but 5.0 is "5" in each.
    return numbers.astype(np.int64).astype("U10") if whole.all() else numbers


def _lines(file: SourceFile, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    """The lines of images, some MiB at a time, with the number of the first of them."""
    together = min(max(CHUNK_BYTES // (4 * layout.columns), 1), MOST_LINES)
    first, number, size, lines = 1, 0, 0, list[str]()
    with file.opened() as stream:
        while line := _line(stream, number := number + 1):
            size += len(line)
            if file.packed:
                check_expansion(size, file.limit)
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
                if layout.header:
                    continue
            if not line.strip():
                continue
            text = _text(line, number)
            found = text.count(layout.delimiter) + 1
            if found != layout.columns and '"' in text:
                found = len(_fields(text, layout.delimiter))
            if found != layout.columns:
                raise DataError(
                    f"found {found} columns in line {number}, expected {layout.columns}"
                )
            first = first if lines else number
            lines.append(text)
            if len(lines) == together:
                yield first, lines
                lines = []
    if lines:
        yield first, lines


def _line(stream: BinaryIO, number: int) -> bytes:
    line = stream.readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise DataError(
            f"line {number} is longer than {LONGEST_LINE} bytes, expected an image a line"
        )
    return line


def _text(line: bytes, number: int) -> str:
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise DataError(f"read as CSV: line {number} is no text in UTF-8") from None


def _fields(line: str, delimiter: str) -> list[str]:
    """What is between the delimiters, without spaces or quotes around it."""
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        (fields,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    except csv.Error as error:
        raise DataError(f"read as CSV: {error}") from None
    return [field.strip() for field in fields]


def _are_numbers_in_order(fields: list[str]) -> bool:
    """Whether they count from 0 or 1 on, as no image does."""
    return len(fields) > 1 and any(
        all(field == str(number) for number, field in enumerate(fields, first)) for first in (0, 1)
    )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count
