"""Labels as they are stored to one whole number, or one name, an image."""

import re
from collections.abc import Sequence

import numpy as np

from pipeline.data.files.holding import Array
from pipeline.data.files.pixels import Note
from pipeline.errors import DataError

LONGEST_NAME = 100  # characters
HIGHEST = 2**31 - 1
WHOLE_NUMBER = re.compile(r"0|[1-9]\d{0,9}")


def flat(labels: Array, count: int | None, note: Note) -> Array:
    """`labels` as int64 (n,), or as text (n,), which `alike` may make numbers of.

    Args:
        labels: one an image, (n,) or (n, 1), or one-hot, (n, classes).
        count: how many images there are, if that is known.
        note: is told what was understood.

    Raises:
        DataError: they are no labels of so many images.
    """
    labels = _one_each(labels, note)
    if labels.ndim != 1 or (count is not None and len(labels) != count):
        expected = "one for each image" if count is None else f"({count},): one for each image"
        raise DataError(f"found labels of shape {labels.shape}, expected {expected}")
    if labels.dtype.kind in "US":
        return _names(labels)
    return _whole_numbers(labels).astype(np.int64)


def alike(parts: Sequence[tuple[Array, Note]]) -> list[Array]:
    """The flat labels of all parts of a dataset: as numbers, if all text among them is numbers.

    Else a part with digits alone would have other classes than one with digits and letters.

    Args:
        parts: what `flat` gave, each with what is told if it was text and is numbers.
    """
    labels = [each for each, _ in parts]
    if not all(_are_numbers(each) for each in labels if each.dtype.kind == "U"):
        return labels
    for each, note in parts:
        if each.dtype.kind == "U":
            note("labels written as text taken as numbers")
    return [each.astype(np.int64) for each in labels]


def _one_each(labels: Array, note: Note) -> Array:
    if labels.ndim != 2:
        return labels
    if labels.shape[1] == 1:
        return labels[:, 0]
    is_one = labels == 1 if labels.dtype.kind in "buif" else np.zeros(1, np.bool_)
    if len(labels) and (is_one.sum(axis=-1) == 1).all() and not labels[~is_one].any():
        note(f"one-hot labels taken as the numbers from 0 to {labels.shape[1] - 1}")
        return is_one.argmax(axis=1)
    return labels


def _names(labels: Array) -> Array:
    try:
        names = labels.astype(str) if labels.dtype.kind == "U" else np.char.decode(labels, "utf-8")
        held = np.unique(names).tolist()
    except ValueError:
        raise DataError("found labels that are no text, expected names in UTF-8") from None
    for name in held:
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise DataError(
                f"found a class named {name!r}, expected 1 to {LONGEST_NAME} printable characters"
            )
    return names


def _are_numbers(names: Array) -> bool:
    held = np.unique(names).tolist()
    return all(map(WHOLE_NUMBER.fullmatch, held)) and max(map(int, held), default=0) <= HIGHEST


def _whole_numbers(labels: Array) -> Array:
    if labels.dtype.kind not in "uif":
        raise DataError(f"found labels of type {labels.dtype}, expected whole numbers or names")
    if not labels.size:
        return labels
    low, top = labels.min().item(), labels.max().item()
    # NaN compares false with everything, so it can't pass.
    if not (low >= 0 and top <= HIGHEST):
        raise DataError(f"found label values from {low} to {top}, expected 0 to {HIGHEST}")
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels)):
        raise DataError(
            f"found label values with fractions ({low} to {top}), "
            f"expected whole numbers from 0 to {HIGHEST}"
        )
    return labels
