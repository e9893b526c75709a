"""What files and folders of images hold, looked at a chunk at a time; nothing is kept of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.data.datasets import Images
from pipeline.data.files import class_labels, images, preparation, readers
from pipeline.data.files.holding import PLACES, Array, Kind, Place
from pipeline.data.files.pixels import ColourError
from pipeline.data.files.source_file import told
from pipeline.errors import DataError

SAMPLES = 10  # images kept of each class, to be shown
MOST_CLASSES = 40  # that samples are kept of


@dataclass
class Found:
    """What one part of a file, or all of it, holds.

    Attributes:
        place: the part, or "all".
        images: how many; 0 where there are labels alone.
        side: of an image, in pixels.
        darkest, lightest, mean: of the pixels, 0 to 255.
        duplicates: images that are there before.
        in_colour: whether they have to be weighed to a grey.
        labels: how many of each class, by what it is called; empty where there are images alone.
        samples: the first images of each class, or, without labels, under "".
    """

    place: Place
    images: int = 0
    side: int = 0
    darkest: int = 255
    lightest: int = 0
    mean: float = 0.0
    duplicates: int = 0
    in_colour: bool = False
    labels: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[Images]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspected:
    """A file or a folder.

    Attributes:
        path: where it is.
        form: what people call such a file.
        found: by part, or one for all.
        notes: what was understood that the file does not say in so many words.
    """

    path: Path
    form: str
    found: list[Found]
    notes: list[str]

    def holds(self, kind: Kind) -> bool:
        """Whether it has any."""
        return any(self.counts(kind))

    def counts(self, kind: Kind) -> list[int]:
        """How many images, or labels, each part has."""
        return [one.images if kind == "images" else sum(one.labels.values()) for one in self.found]


def inspect(path: Path, labels_path: Path | None = None) -> Inspected:
    """Look at all of `path`; the labels of its images may be in `labels_path`.

    Raises:
        DataError: it is of no known form, or holds neither images nor labels that can be used.
    """
    source = readers.source(path)
    if labels_path:
        given = readers.source(labels_path).holding.labels
        source = replace(source, holding=replace(source.holding, labels=given, either=False))
    notes = dict.fromkeys(source.holding.notes)
    places = {**source.holding.images, **source.holding.labels}
    stored = {place: _labels(source, place, notes) for place in PLACES if place in places}
    flat = {place: labels for place, labels in stored.items() if labels is not None}
    alike = class_labels.alike([(labels, notes.setdefault) for labels in flat.values()])
    labelled = dict(zip(flat, alike, strict=True))
    found = [_place(source, place, labelled.get(place), notes) for place in stored]
    if not found:
        with told(path):
            source.holding.place("images", "train")
    return Inspected(path, source.holding.form, found, list(notes))


def _labels(source: readers.Source, place: Place, notes: dict[str, None]) -> Array | None:
    """Those at `place`, if there are any; an array without a name is labels, if it can be."""
    if place not in source.holding.labels:
        return None
    try:
        stored = source.labels(place)
        with told(source.path):
            return class_labels.flat(stored, None, notes.setdefault)
    except DataError:
        if source.holding.either:
            return None
        raise


def _place(
    source: readers.Source, place: Place, labels: Array | None, notes: dict[str, None]
) -> Found:
    """What is at `place`, with these labels."""
    found = Found(place)
    if place in source.holding.images and not (source.holding.either and labels is not None):
        found = _images(source, found, labels, notes)
    if labels is not None:
        with told(source.path):
            class_labels.flat(labels, found.images or None, notes.setdefault)
        names, counts = np.unique(labels, return_counts=True)
        found.labels = dict(zip(map(str, names), counts.tolist(), strict=True))
    return found


def _images(
    source: readers.Source, found: Found, labels: Array | None, notes: dict[str, None]
) -> Found:
    """`found`, with what there is to say of the images."""
    noted: dict[str, None] = {}
    try:
        seen = _seen(_batches(source, found.place, noted, to_grey=False), replace(found), labels)
    except ColourError:
        noted.clear()  # what was understood of those before the first in colour
        in_colour = replace(found, in_colour=True)
        seen = _seen(_batches(source, found.place, noted, to_grey=True), in_colour, labels)
    notes.update(noted)
    return seen


def _batches(
    source: readers.Source, place: Place, notes: dict[str, None], *, to_grey: bool
) -> Iterator[Images]:
    return images.batches(source, place, notes.setdefault, to_grey=to_grey, transpose=False)


def _seen(batches: Iterator[Images], found: Found, labels: Array | None) -> Found:
    total, distinct = 0, set[bytes]()
    samples: dict[str, list[Images]] = {}
    for batch in batches:
        found.side = batch.shape[1]
        found.darkest = min(found.darkest, int(batch.min()))
        found.lightest = max(found.lightest, int(batch.max()))
        total += int(batch.sum(dtype=np.int64))
        distinct.update(preparation.digest(image) for image in batch)
        for index, image in enumerate(batch, found.images):
            name = str(labels[index]) if labels is not None and index < len(labels) else ""
            if name not in samples and len(samples) == MOST_CLASSES:
                continue
            kept = samples.setdefault(name, [])
            if len(kept) < SAMPLES:
                kept.append(image.copy())
        found.images += len(batch)
    if labels is not None:
        samples = {name: samples[name] for name in map(str, np.unique(labels)) if name in samples}
    found.samples = samples
    found.mean = total / (found.images * found.side**2)
    found.duplicates = found.images - len(distinct)
    return found
