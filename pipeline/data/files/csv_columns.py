"""Which columns of a CSV are pixels, and which is the label."""

import csv
import math
from dataclasses import dataclass

from pipeline.data.files import names
from pipeline.errors import DataError


@dataclass(frozen=True)
class Layout:
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
        """The columns of the image, in the order of its rows."""
        return [column for column in range(self.columns) if column != self.label]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was understood that no name says."""
        if self.label is None or self.named:
            return ()
        which = "last" if self.label else "first" if self.pixels else "only"
        return (f"the {which} column taken as labels",)


def layout(first: str, delimiter: str) -> Layout:
    """What the first line tells, by its names or the number of its columns.

    Raises:
        DataError: the columns are no square image with or without a label.
    """
    found = fields(first, delimiter)
    columns = len(found)
    words = [column for column, field in enumerate(found) if not _is_number(field)]
    called = names.chosen(found).get(("labels", "all"))
    if columns == 1 and (called or not words):
        return Layout(columns, 0, bool(called), bool(called), delimiter)
    # pandas names columns without a name by their numbers.
    numbered = _are_numbers_in_order([field for field in found if _is_number(field)])
    header = len(words) > 1 or numbered  # a single word may be the label
    named = called if header else None
    label: int | None = None
    if named:
        label = found.index(named)
    elif not header and words in ([0], [columns - 1]):
        (label,) = words
    at_an_end = label is None and not words and is_square(columns - 1)  # but at which?
    if not is_square(columns - (label is not None or at_an_end)):
        raise DataError(
            f"read as CSV: found {columns} columns, expected the pixels of a square image, and a "
            "label in the first column or the last, or in one that the first line calls 'label'; "
            "no other"
        )
    return Layout(columns, label, header, bool(named), delimiter)


def label_at_an_end(columns: int, first: set[str], last: set[str]) -> int:
    """The first of `columns` or the last, by what they hold: in UCI's files the label is the last.

    Raises:
        DataError: one may be the labels as well as the other.
    """
    if _sureness(first) == _sureness(last):
        raise DataError(
            f"read as CSV: found {columns} columns, of which the first may be the labels as "
            "well as the last, expected a first line that calls one of them 'label'"
        )
    return 0 if _sureness(first) > _sureness(last) else columns - 1


def _sureness(held: set[str]) -> int:
    """How sure it is that these are labels, and no pixels: 2, if a word is among them.

    1, if they may be: whole numbers that differ, which a pixel in a corner often does not.
    """
    if not all(map(_is_number, held)):
        return 2
    return int(len(held) > 1 and all(float(field).is_integer() for field in held))


def ends(line: str, delimiter: str) -> tuple[str, str]:
    """The first and the last field: without the others, where there are no quotes."""
    if '"' in line:
        first, *_, last = fields(line, delimiter)
        return first, last
    return line.split(delimiter, 1)[0].strip(), line.rsplit(delimiter, 1)[-1].strip()


def fields(line: str, delimiter: str) -> list[str]:
    """What is between the delimiters, without spaces or quotes around it."""
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        (found,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    except csv.Error as error:
        raise DataError(f"read as CSV: {error}") from None
    return [field.strip() for field in found]


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


def is_square(count: int) -> bool:
    """Whether so many pixels are an image."""
    return count > 0 and math.isqrt(count) ** 2 == count
