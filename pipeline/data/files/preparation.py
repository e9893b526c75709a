"""Image files, read, checked, and split into training and test parts."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.datasets import Dataset, Images, Labels
from pipeline.data.files import class_labels, images, readers
from pipeline.data.files.gathering import gathered
from pipeline.data.files.holding import Array, Part, chunks
from pipeline.data.files.pixels import Note
from pipeline.data.files.source_file import told
from pipeline.data.files.sources import Sources
from pipeline.errors import DataError

MAX_CLASSES = 256  # a label is kept as one byte
DIGEST = 16  # bytes by which an image is told from others
VALIDATION = {
    "leave_out": "the validation part left out: neither trained on nor tested on",
    "train": "the validation part joined to the training part",
    "test": "the validation part tested on, in place of the test part",
}


def read(section: Sources, seed: int, note: Note) -> Dataset:
    """Read the files that `section` names; hold out a test part where they have none.

    `note` is told, a line each, what was understood that the files do not say in so many words.

    Raises:
        DataError: a file can't be read, or what it holds can't be used.
        StorageError: there are more images than fit in memory, and no room for them.
    """
    return _Reading(section, note).dataset(seed)


class _Reading:
    """The files of one section, each opened once."""

    def __init__(self, section: Sources, note: Note) -> None:
        self.section, self.note = section, note
        self.train = Path(section.train_images), Path(section.train_labels)
        self.test = Path(section.test_images), Path(section.test_labels)
        self.sources: dict[Path, readers.Source] = {}
        self.noted: set[str] = set()

    def dataset(self, seed: int) -> Dataset:
        train_path, labels_path = self.train
        parts: list[Part] = ["train"]
        tested: tuple[Path, Path, list[Part]] | None = (*self.test, ["test"])
        held = self._source(train_path).holding.parts
        validating = "validation" in held
        if validating:
            self._say(train_path, VALIDATION[self.section.validation])
            if self.section.validation == "train":
                parts.append("validation")
        if validating and self.section.validation == "test":
            tested = (*self.train, ["validation"])
        elif self.test[0] == train_path and "test" not in held:
            tested = None
            if self.test[1] != labels_path:
                raise DataError(
                    f"{self.test[1]}: found other labels for the images of {train_path}, of which "
                    f"some are held out, expected {labels_path} again"
                )

        images_, stored = self._labelled(*self.train, parts)
        test_images, test_stored = self._labelled(*tested) if tested else (images_[:0], [])
        labels = class_labels.alike([*stored, *test_stored])
        classes, indices = _classes(labels[: len(parts)], labels_path)
        if tested:
            if test_images.shape[1:] != images_.shape[1:]:
                raise DataError(
                    f"{tested[0]}: found images of {_size(test_images)}, "
                    f"expected {_size(images_)} as in {train_path}"
                )
            test_indices = _known(labels[-1], classes, tested[1])
            return Dataset(images_, indices, test_images, test_indices, classes)
        with told(labels_path):
            held_out = _stratified(indices, classes, self.section.test_fraction, seed)
        return Dataset(
            _chosen(images_, ~held_out),
            indices[~held_out],
            _chosen(images_, held_out),
            indices[held_out],
            classes,
        )

    def _labelled(
        self, images_path: Path, labels_path: Path, parts: list[Part]
    ) -> tuple[Images, list[tuple[Array, Note]]]:
        """The images of `parts`, (n, side, side), and the flat labels of each, for `alike`."""
        if images_path == labels_path and (held := self._source(images_path).holding).either:
            raise DataError(
                f"{images_path}: found {held.contents}, images or labels, expected a file of "
                "either, or one that names both"
            )
        counts: list[int] = []

        def counted(part: Part) -> Iterator[Images]:
            count = 0
            for batch in self._images(images_path, part):
                count += len(batch)
                yield batch
            counts.append(count)

        def note(text: str) -> None:
            self._say(labels_path, text)

        found = gathered(chain.from_iterable(map(counted, parts)))
        labels: list[tuple[Array, Note]] = []
        for part, count in zip(parts, counts, strict=True):
            stored = self._source(labels_path).labels(part)
            with told(labels_path):
                labels.append((class_labels.flat(stored, count, note), note))
        return found, labels

    def _images(self, path: Path, part: Part) -> Iterator[Images]:
        return images.batches(
            self._source(path),
            part,
            lambda text: self._say(path, text),
            to_grey=self.section.to_grey,
            transpose=self.section.transpose,
        )

    def _source(self, path: Path) -> readers.Source:
        if path not in self.sources:
            self.sources[path] = readers.source(path)
            for text in self.sources[path].holding.notes:
                self._say(path, text)
        return self.sources[path]

    def _say(self, path: Path, text: str) -> None:
        line = f"{path}: {text}"
        if line not in self.noted:
            self.noted.add(line)
            self.note(line)


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


def _distinct(images: Images) -> npt.NDArray[np.void]:
    """A digest of each different image, once."""
    digests = b"".join(map(digest, images))
    return np.unique(np.frombuffer(digests, f"V{DIGEST}"))


def digest(image: Images) -> bytes:
    """What tells it from any other image."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=DIGEST).digest()


def _classes(labels: list[Array], path: Path) -> tuple[Array, Labels]:
    """What the classes of all training `labels`, of `path`, are called, and indices into them."""
    if len({array.dtype.kind for array in labels}) > 1:
        raise DataError(f"{path}: found names and numbers as labels, expected one kind")
    joined = np.concatenate(labels)
    classes = np.unique(joined)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(f"{path}: found {len(classes)} class(es), expected 2 to {MAX_CLASSES}")
    return classes, np.searchsorted(classes, joined).astype(np.uint8)


def _known(labels: Array, classes: Array, path: Path) -> Labels:
    """`labels` of test images, of `path`, as indices into `classes`."""
    known = classes.tolist()
    if unknown := [name for name in np.unique(labels).tolist() if name not in known]:
        raise DataError(
            f"{path}: found label(s) {unknown[:5]}, "
            f"expected only those of the training part: {known}"
        )
    return np.searchsorted(classes, labels).astype(np.uint8)


def _stratified(
    indices: Labels, classes: Array, fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """A mask that holds out `fraction` of each class: at least one image, never all of them."""
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(indices), np.bool_)
    for index in np.unique(indices):
        members = generator.permutation(np.flatnonzero(indices == index))
        if len(members) < 2:
            raise DataError(
                f"found one image of class {classes[index]}, expected two or more: "
                "one to train on and one to hold out"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[members[:count]] = True
    return held_out


def _chosen(images: Images, mask: npt.NDArray[np.bool_]) -> Images:
    """Those images where `mask`, (n,), is true."""

    def pieces() -> Iterator[Images]:
        start = 0
        for piece in chunks(images):
            yield piece[mask[start : start + len(piece)]]
            start += len(piece)

    return gathered(pieces())


def _size(images: Images) -> str:
    return f"{images.shape[1]} x {images.shape[2]} pixels"
