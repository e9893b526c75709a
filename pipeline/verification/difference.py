"""How far two files of the same kind lie apart, in one line for a person."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = 1000  # images, say, compared at a time: a dataset may be larger than memory

Numbers = Iterator[tuple[str, npt.NDArray[Any]]]


def largest_difference(found: Path, expected: Path) -> float:
    """The largest absolute difference of two files' numbers.

    Returns:
        For arrays, models (their weights), metrics and history the largest difference of two
        numbers in the same place; for figures that of two pixels' channels, 0 to 255. Infinity
        where the numbers can't be paired, and for other kinds of file.
    """
    if found.suffix != expected.suffix or found.suffix not in READERS:
        return float("inf")
    read = READERS[found.suffix]
    try:
        ours, theirs = dict(read(found)), dict(read(expected))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # one of them is damaged
        return float("inf")
    if {name: array.shape for name, array in ours.items()} != {
        name: array.shape for name, array in theirs.items()
    }:
        return float("inf")
    return max((_largest(ours[name], theirs[name]) for name in ours), default=0.0)


def _largest(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    starts = range(0, len(ours), ROWS)
    parts = ((ours[start : start + ROWS], theirs[start : start + ROWS]) for start in starts)
    return max((_largest_gap(*part) for part in parts), default=0.0)


def _largest_gap(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    gaps = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    gaps[np.isnan(ours) & np.isnan(theirs)] = 0
    return float(np.nan_to_num(gaps.max(initial=0), nan=np.inf))


def _array(path: Path) -> Numbers:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "biuf":  # the names of classes, say
        raise ValueError(f"{path}: holds no numbers")
    yield "", np.atleast_1d(array)


def _weights(path: Path) -> Numbers:
    import h5py

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        found: list[tuple[str, npt.NDArray[Any]]] = []
        file.visititems(
            lambda name, item: (
                found.append((name, np.atleast_1d(item[()])))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    yield from found


def _metrics(path: Path) -> Numbers:
    for name, value in json.loads(path.read_text()).items():
        if value is None or isinstance(value, (int, float, list)):
            yield name, np.atleast_1d(np.array(value, np.float64))


def _history(path: Path) -> Numbers:
    with path.open(newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            for name, value in row.items():
                yield f"{index}.{name}", np.array([float(value)])


def _pixels(path: Path) -> Numbers:
    from PIL import Image

    with Image.open(path) as image:
        yield "", np.asarray(image.convert("RGBA"))


READERS = {
    ".csv": _history,
    ".json": _metrics,
    ".keras": _weights,
    ".npy": _array,
    ".png": _pixels,
}
