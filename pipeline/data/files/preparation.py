"""Image files, read, checked, and split into training and test parts."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.datasets import Dataset, Images, Labels
from pipeline.data.files import readers
from pipeline.data.files.sources import Sources
from pipeline.errors import DataError

MAX_CLASSES = 256  # a label is kept as one byte


def read(section: Sources, seed: int) -> Dataset:
    """Read the files that `section` names; hold out a test part where they have none.

    Raises:
        DataError: a file can't be read, or what it holds can't be used.
    """
    train_images_path, train_labels_path = Path(section.train_images), Path(section.train_labels)
    test_images_path, test_labels_path = Path(section.test_images), Path(section.test_labels)

    images = _checked_images(
        readers.read(train_images_path, "images", "train"), train_images_path, section.transpose
    )
    labels = _checked_labels(
        readers.read(train_labels_path, "labels", "train"), images, train_labels_path
    )
    classes = np.unique(labels)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(
            f"{train_labels_path}: found {len(classes)} class(es), expected 2 to {MAX_CLASSES}"
        )
    indices = np.searchsorted(classes, labels).astype(np.uint8)

    if test_images_path == train_images_path and not readers.has_part(test_images_path, "test"):
        held_out = _stratified(indices, section.test_fraction, seed)
        return Dataset(
            images[~held_out], indices[~held_out], images[held_out], indices[held_out], classes
        )

    test_images = _checked_images(
        readers.read(test_images_path, "images", "test"), test_images_path, section.transpose
    )
    if test_images.shape[1:] != images.shape[1:]:
        raise DataError(
            f"{test_images_path}: found images of {_size(test_images)}, "
            f"expected {_size(images)} as in {train_images_path}"
        )
    test_labels = _checked_labels(
        readers.read(test_labels_path, "labels", "test"), test_images, test_labels_path
    )
    if len(unknown := np.setdiff1d(test_labels, classes)):
        raise DataError(
            f"{test_labels_path}: found label(s) {unknown[:5].tolist()}, "
            f"expected only those of the training part: {classes.tolist()}"
        )
    return Dataset(
        images,
        indices,
        test_images,
        np.searchsorted(classes, test_labels).astype(np.uint8),
        classes,
    )


def summary(dataset: Dataset) -> dict[str, Any]:
    """What a person wants to know of a dataset before trusting a model made from it."""
    train, test = _distinct(dataset.train_images), _distinct(dataset.test_images)
    count = len(dataset.classes)
    return {
        "side": dataset.side,
        "classes": dataset.classes.tolist(),
        "train_images": len(dataset.train_images),
        "test_images": len(dataset.test_images),
        "train_images_per_class": np.bincount(dataset.train_labels, minlength=count).tolist(),
        "test_images_per_class": np.bincount(dataset.test_labels, minlength=count).tolist(),
        "train_pixel_mean": float(np.mean(dataset.train_images, dtype=np.float64)),
        "train_duplicates": len(dataset.train_images) - len(train),
        "test_duplicates": len(dataset.test_images) - len(test),
        # A test image that is also a training image flatters every held-out figure.
        "test_images_in_train": len(np.intersect1d(train, test, assume_unique=True)),
    }


def _checked_images(images: readers.Array, path: Path, transpose: bool) -> Images:
    if images.ndim != 3 or images.shape[1] != images.shape[2] or 0 in images.shape:
        raise DataError(
            f"{path}: found images of shape {images.shape}, "
            "expected (count, side, side): at least one square grey image"
        )
    images = _whole_numbers(images, path, "pixel", 255).astype(np.uint8, copy=False)
    return np.ascontiguousarray(images.transpose(0, 2, 1)) if transpose else images


def _checked_labels(labels: readers.Array, images: Images, path: Path) -> npt.NDArray[np.int64]:
    if labels.shape != (len(images),):
        raise DataError(
            f"{path}: found labels of shape {labels.shape}, "
            f"expected ({len(images)},): one for each image"
        )
    return _whole_numbers(labels, path, "label", 2**31 - 1).astype(np.int64)


def _whole_numbers(array: readers.Array, path: Path, what: str, high: int) -> readers.Array:
    if array.dtype.kind not in "uif":
        raise DataError(f"{path}: found {what}s of type {array.dtype}, expected whole numbers")
    if array.dtype == np.uint8:
        return array
    low, top = array.min().item(), array.max().item()
    # NaN compares false with everything, so it can't pass.
    if not (low >= 0 and top <= high):
        raise DataError(f"{path}: found {what} values from {low} to {top}, expected 0 to {high}")
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise DataError(
            f"{path}: found {what} values with fractions ({low} to {top}), "
            f"expected whole numbers from 0 to {high}"
        )
    return array


def _stratified(indices: Labels, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """A mask that holds out `fraction` of each class: at least one image, never all of them."""
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(indices), np.bool_)
    for index in np.unique(indices):
        members = generator.permutation(np.flatnonzero(indices == index))
        if len(members) < 2:
            raise DataError(
                f"class {index} (counted from 0) has one image, expected two or more: "
                "one to train on and one to hold out"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[members[:count]] = True
    return held_out


def _distinct(images: Images) -> npt.NDArray[np.void]:
    """Each different image once, as one element of all its bytes."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.unique(rows.view(f"V{rows.shape[1]}"))


def _size(images: Images) -> str:
    return f"{images.shape[1]} x {images.shape[2]} pixels"
