"""Folders of pictures: a folder a class, which it gives its name; below `train` and `test`, or not.

A folder of pictures alone holds images without labels. Names that begin with a dot are left out.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.files import names, pictures
from pipeline.data.files.holding import Array, Chunks, Holding, Place, listed
from pipeline.data.files.source_file import allowed, check_expansion, told
from pipeline.errors import DataError
from pipeline.outs import artifacts

FORM = "a folder of pictures"


@dataclass(frozen=True)
class _Pictures:
    """The pictures below one folder.

    Attributes:
        root: the folder.
        top: what was asked for: that folder, or the one of all parts.
        classes: names of the folders in it that they are in; none, where they are in it itself.
        of: each picture's class, an index, (n,).
        files: their names, in the same order.
    """

    root: Path
    top: Path
    classes: Sequence[str]
    of: Array
    files: Sequence[str]

    @property
    def empty(self) -> list[str]:
        counts = np.bincount(self.of, minlength=len(self.classes))
        return [name for name, count in zip(self.classes, counts, strict=False) if not count]

    def __str__(self) -> str:
        without = "" if self.classes else " without folders of classes"
        return f"{len(self.files)} pictures in {self.root.name}{without}"

    def names(self) -> Iterator[str]:
        return (path.relative_to(self.root).as_posix() for path in self.paths())

    def paths(self) -> Iterator[Path]:
        for index, name in zip(self.of, self.files, strict=True):
            yield self.root / self.classes[index] / name if self.classes else self.root / name


def hold(path: Path) -> Holding:
    """What the folder `path` holds, by the names of the folders in it.

    Raises:
        DataError: it holds no pictures, or files beside its classes, or a link that leads out.
    """
    root = path.resolve()
    folders, files = _listed(path, root)
    places: dict[Place, _Pictures] = {}
    notes: list[str] = []
    others = [name for name in folders if not names.part(name)]
    parts = [name for name in folders if name not in others]
    if parts and not others:
        for name in parts:
            with told(Path(name)):
                places[names.part(name) or "all"] = _pictures(path / name, path, root)
        if len(places) < len(folders):
            raise DataError(f"found {', '.join(folders)}, expected one folder for each part")
        if files:
            notes.append(f"left out what is beside the folders: {listed(files)}")
    else:
        if any(_listed(path / name, root)[0] for name in parts):
            raise DataError(
                f"found {listed(others)} beside {listed(parts)}, in which are folders, expected "
                "folders of parts alone, or of classes alone"
            )
        places["all"] = _pictures(path, path, root)
    for found in places.values():
        notes += (f"no class: {name}, a folder without a picture" for name in found.empty)

    def images(found: _Pictures) -> Chunks:
        return lambda: pictures.chunked(_decoded(found))

    def labels(found: _Pictures) -> Callable[[], Array]:
        return lambda: np.array(found.classes)[found.of]

    return Holding(
        FORM,
        {place: images(found) for place, found in places.items()},
        {place: labels(found) for place, found in places.items() if found.classes},
        ", ".join(map(str, places.values())),
        tuple(notes),
        names={place: found.names for place, found in places.items()},
    )


def _listed(path: Path, root: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in `path`, each in order."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and root not in Path(os.path.realpath(entry.path)).parents:
                raise DataError(f"found a link, {entry.name}, that leads out of it; copy the file")
            (folders if entry.is_dir() else files).append(entry.name)
    return sorted(folders), sorted(files)


def _pictures(path: Path, top: Path, root: Path) -> _Pictures:
    classes, files = _listed(path, root)
    if classes and files:
        raise DataError(f"found the file {files[0]} beside folders, expected one or the other")
    if not classes:
        if not files:
            raise DataError("found no picture, expected PNGs or JPEGs, or folders of them")
        return _Pictures(path, top, (), np.zeros(len(files), np.intp), files)
    found: list[str] = []
    counts = []
    for name in classes:
        inner, files = _listed(path / name, root)
        if inner:
            raise DataError(f"found {name}/{inner[0]}, a folder, expected pictures alone in {name}")
        found += files
        counts.append(len(files))
    if not found:
        raise DataError("found folders without a picture, expected PNGs or JPEGs in them")
    # The classes take turns, each as often as its share: the first images, which figures show,
    # are then of all of them.
    of = np.repeat(np.arange(len(classes)), counts)
    turns = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    order = np.argsort(turns, kind="stable")
    return _Pictures(path, top, classes, of[order], [found[index] for index in order])


def _decoded(found: _Pictures) -> Iterator[Array]:
    size, held, taken = None, 0, 0
    for path in found.paths():
        name = path.relative_to(found.top)
        try:
            with artifacts.open_file(path) as file:
                held += os.fstat(file.fileno()).st_size
                pixels = pictures.decode(file)
        except (DataError, OSError) as error:
            raise DataError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
        size = size or pixels.shape[:2]
        if pixels.shape[:2] != size:
            raise DataError(
                f"{name}: found {pixels.shape[1]} x {pixels.shape[0]} pixels, expected "
                f"{size[1]} x {size[0]} as in the other pictures"
            )
        taken += pixels.nbytes
        check_expansion(taken, allowed(held))
        yield pixels
