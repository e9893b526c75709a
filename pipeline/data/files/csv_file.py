"""CSV: an image a line, its pixels row by row, a label before or behind them; or labels alone.

What is between them, commas, semicolons or tabs, the first line tells. Lines are read one by one,
so neither a long file nor an endless line takes much memory.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from pipeline.data.files import csv_columns, names
from pipeline.data.files.class_labels import HIGHEST
from pipeline.data.files.csv_columns import Layout
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
    layout = csv_columns.layout(first, begun[1].decode() if begun else ",")
    if layout.label is None and not csv_columns.is_square(layout.columns):
        layout = replace(layout, label=_label_at_an_end(file, layout))
    return Holding.whole(
        FORM,
        f"{layout.columns} columns" if layout.pixels else "a column of labels",
        (lambda: _images(file, layout)) if layout.pixels else None,
        None if layout.label is None else lambda: _labels(file, layout),
        layout.notes,
    )


def _label_at_an_end(file: SourceFile, layout: Layout) -> int:
    """The first column or the last, by what they hold."""
    first, last = set[str](), set[str]()
    for _, lines in _lines(file, layout):
        for line in lines:
            for held, field in zip(
                (first, last), csv_columns.ends(line, layout.delimiter), strict=True
            ):
                if len(held) < MOST_VALUES:
                    held.add(field)
    return csv_columns.label_at_an_end(layout.columns, first, last)


def _images(file: SourceFile, layout: Layout) -> Iterator[Array]:
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


def _labels(file: SourceFile, layout: Layout) -> Array:
    found: list[str] = []
    longest = 0
    for _, lines in _lines(file, layout):
        labels = [csv_columns.fields(line, layout.delimiter)[layout.label or 0] for line in lines]
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


def _lines(file: SourceFile, layout: Layout) -> Iterator[tuple[int, list[str]]]:
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
                found = len(csv_columns.fields(text, layout.delimiter))
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
