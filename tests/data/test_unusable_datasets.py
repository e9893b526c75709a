"""Every defect in every format, in images and in labels, as part of a dataset that is read."""

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.data.files import preparation
from pipeline.errors import DataError
from tests.data.sections import sources, unheard

Array = npt.NDArray[Any]
IMAGES = np.arange(40, dtype=np.uint8).repeat(16).reshape(40, 4, 4)
LABELS = np.repeat(np.arange(4, dtype=np.uint8), 10)


def _pickled(path: Path, name: str, array: Array) -> None:
    path.write_bytes(pickle.dumps({name: array}))


def _npz(path: Path, name: str, array: Array) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, **{name: array})


def _npz_packed(path: Path, name: str, array: Array) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=True, **{name: array})


def _idx_content(array: Array) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def _idx(path: Path, _: str, array: Array) -> None:
    path.write_bytes(_idx_content(array))


def _idx_packed(path: Path, _: str, array: Array) -> None:
    path.write_bytes(gzip.compress(_idx_content(array)))


Format = Callable[[Path, str, Array], None]
OF_ANY_TYPE: dict[str, Format] = {"pickle": _pickled, "npz": _npz, "npz packed": _npz_packed}
OF_BYTES: dict[str, Format] = {"idx": _idx, "idx packed": _idx_packed}


def _with(array: Array, value: float, dtype: str) -> Array:
    changed = array.astype(dtype)
    changed.flat[7] = value
    return changed


def _of_objects(array: Array) -> Array:
    objects = array.astype(object)
    objects.flat[7] = {}
    return objects


SHAPES: dict[tuple[str, str], Array] = {
    ("images", "none"): IMAGES[:0],
    ("images", "no pixels"): IMAGES[:, :0, :0],
    ("images", "not square"): IMAGES[:, :3],
    ("images", "fewer than labels"): IMAGES[1:],
    ("images", "more than labels"): np.concatenate([IMAGES, IMAGES]),
    ("labels", "none"): LABELS[:0],
    ("labels", "fewer than images"): LABELS[1:],
    ("labels", "more than images"): np.concatenate([LABELS, LABELS]),
    ("labels", "of two dimensions"): LABELS.reshape(20, 2),
    ("labels", "as large as images"): IMAGES,
    ("images", "as small as labels"): LABELS,
}
VALUES: dict[tuple[str, str], Array] = {
    **{("images", f"{value} as {dtype}"): _with(IMAGES, value, dtype)
       for value, dtype in [
           (np.nan, "f4"), (np.inf, "f8"), (-np.inf, "f2"), (0.5, "f4"), (-0.5, "f8"),
           (256, "u2"), (256, ">i4"), (256.5, "f4"), (-1, "i1"), (-1, "i8"), (1e300, "f8"),
       ]},
    **{("labels", f"{value} as {dtype}"): _with(LABELS, value, dtype)
       for value, dtype in [
           (np.nan, "f4"), (np.inf, "f8"), (-np.inf, "f2"), (0.5, "f4"), (-0.5, "f8"),
           (2**31, "u4"), (2**63, "u8"), (-1, "i1"), (-1, ">i8"), (1e300, "f8"),
       ]},
    ("images", "objects"): _of_objects(IMAGES),
    ("labels", "objects"): _of_objects(LABELS),
    ("images", "complex"): IMAGES.astype(complex),
    ("labels", "complex"): LABELS.astype(complex),
    ("images", "text"): IMAGES.astype(str),
    ("labels", "text that has an end of line"): np.full(40, "a\nb"),
    ("images", "records"): IMAGES.astype([("grey", "u1")]),
    ("labels", "records"): LABELS.astype([("class", "u1")]),
    ("images", "truth values"): IMAGES.astype(bool),
    ("labels", "truth values"): LABELS.astype(bool),
}  # fmt: skip
CASES = [
    pytest.param(write, kind, array, id=f"{name}: {kind}: {defect}")
    for formats, defects in (
        (OF_ANY_TYPE | OF_BYTES, SHAPES),
        (OF_ANY_TYPE, VALUES),
    )
    for name, write in formats.items()
    for (kind, defect), array in defects.items()
]


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("write", "kind", "array"), CASES)
def test_a_dataset_with_a_defect_is_refused_in_one_line_that_names_the_file(
    tmp_path: Path, write: Format, kind: str, array: Array, part: str
) -> None:
    paths: dict[str, Path] = {}
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        paths[name] = tmp_path / name
        of = name.partition("_")[2]
        broken = name == f"{part}_{kind}"
        write(paths[name], of, array if broken else {"images": IMAGES, "labels": LABELS}[of])
    section = sources(tmp_path, **{name: str(path) for name, path in paths.items()})
    with pytest.raises(DataError) as caught:
        preparation.read(section, 42, unheard)
    told = str(caught.value)
    # Which of two files that don't fit is the wrong one, nobody knows: the labels are named.
    named = [paths[f"{part}_images"], paths[f"{part}_labels"]]
    assert told.startswith(tuple(f"{path}: " for path in named))
    if "one for each image" not in told:
        assert told.startswith(f"{paths[f'{part}_{kind}']}: ")
    assert told.isprintable()
