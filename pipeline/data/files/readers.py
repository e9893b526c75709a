"""Files and folders of images in every accepted form; nothing in a file is ever run.

A form is recognised by a file's first bytes, so names and endings are free. Each has a module of
its own, with `recognises` and `hold`: docs/extending.md says how one is added.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.data.files import (
    csv_file,
    idx_file,
    numpy_file,
    parquet_file,
    pickle_file,
    picture_file,
    picture_folder,
)
from pipeline.data.files.holding import Array, Holding, Kind, Part, Place, joined
from pipeline.data.files.source_file import SourceFile, told
from pipeline.errors import DataError


class Reader(Protocol):
    """A module that reads one form of file."""

    @property
    def recognises(self) -> Callable[[bytes], bool]:
        """Whether a file that starts with these bytes, unpacked, is of this form."""

    @property
    def hold(self) -> Callable[[SourceFile], Holding]:
        """What a file holds; raises `DataError` where that is none of this form after all."""


# In this order: CSV, which has no mark of its own, is what is left.
READERS: tuple[Reader, ...] = (
    idx_file,
    numpy_file,
    pickle_file,
    parquet_file,
    picture_file,
    csv_file,
)


@dataclass(frozen=True)
class Source:
    """A file or folder, and what it holds.

    Attributes:
        path: where it is.
        holding: see `Holding`; what goes wrong in it does not name `path`.
    """

    path: Path
    holding: Holding

    def images(self, part: Place) -> Iterator[Array]:
        """The images for `part` as they are stored, some MiB at a time.

        Raises:
            DataError: there are none, or they can't be read.
        """
        with told(self.path):
            yield from self.holding.images[self.holding.place("images", part)]()

    def labels(self, part: Place) -> Array:
        """The labels for `part` as they are stored.

        Raises:
            DataError: there are none, or they can't be read.
        """
        with told(self.path):
            return self.holding.labels[self.holding.place("labels", part)]()


def source(path: Path) -> Source:
    """What `path`, a file or a folder, holds.

    Raises:
        DataError: it can't be read, or is of no known form.
    """
    with told(path):
        if path.is_dir():
            return Source(path, picture_folder.hold(path))
        file = SourceFile.of(path)
        for reader in READERS:
            if reader.recognises(file.start):
                return Source(path, reader.hold(file))
        raise DataError(
            f"found a file that starts with {file.start[:4]!r}, expected a pickle, an .npz, IDX, "
            "CSV or Parquet (gzipped or not), or a folder of pictures"
        )


def read(path: Path, kind: Kind, part: Part) -> Array:
    """The `kind` of array that `path` holds for `part`, as it is stored, in memory.

    Raises:
        DataError: as `source` does, or there is none.
    """
    found = source(path)
    if kind == "labels":
        return found.labels(part)
    with told(path):
        return joined(found.holding.images[found.holding.place("images", part)]())
