"""Labelled square grey images in training and test parts, as the stages share them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.outs import artifacts

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """Training and test images with their labels.

    Attributes:
        train_images: uint8 (n, side, side), 0 to 255.
        train_labels: uint8 (n,), indices into `classes`.
        test_images: uint8 (m, side, side).
        test_labels: uint8 (m,).
        classes: (c,), what each class is called in the source, a number or a name, ascending.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: npt.NDArray[np.int64] | npt.NDArray[np.str_]

    @property
    def side(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.train_images.shape[1])

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Each array with its name."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def save(dataset: Dataset, folder: Path) -> None:
    """Write each array to a `.npy` file of its own in `folder`."""
    for name, array in dataset.arrays():
        artifacts.write_array(folder / f"{name}.npy", array)


def load(folder: Path) -> Dataset:
    """The dataset that `save` wrote, memory-mapped: pages are read when they are used.

    Raises:
        DataError: an array is missing or not readable.
    """
    try:
        arrays = {
            field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
            for field in fields(Dataset)
        }
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder}: {error}; `dvc repro prepare` writes it") from None
    return Dataset(**arrays)
