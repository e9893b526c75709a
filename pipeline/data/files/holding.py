"""What a reader says of a file: the parts it holds, and how to get their images and labels."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError

Array = npt.NDArray[Any]
Kind = Literal["images", "labels"]
Part = Literal["train", "validation", "test"]
Place = Part | Literal["all"]  # what has no parts is all there is
Chunks = Callable[[], Iterator[Array]]  # called again, it begins again
PARTS: tuple[Part, ...] = ("train", "validation", "test")
PLACES: tuple[Place, ...] = ("all", *PARTS)
MOST_LISTED = 12  # names
CHUNK_BYTES = 16 * 2**20  # of images that are handed on at a time, so memory stays bounded


@dataclass(frozen=True)
class Holding:
    """Images and labels of a file or a folder, as they are stored.

    Attributes:
        form: what people call such a file: "a pickle".
        images: by the part they belong to; in chunks of some MiB, (n, ...) each.
        labels: likewise, (n, ...).
        contents: what is in it, for whoever looks for something else.
        notes: what was understood that the file does not say in so many words.
        either: whether it is one array without a name, images or labels as it is asked for.
        names: what each image is called where it has a name, by the part: a picture's file.
    """

    form: str
    images: Mapping[Place, Chunks]
    labels: Mapping[Place, Callable[[], Array]]
    contents: str
    notes: tuple[str, ...] = ()
    either: bool = False
    names: Mapping[Place, Callable[[], Iterator[str]]] = field(default_factory=dict)

    @classmethod
    def whole(
        cls,
        form: str,
        contents: str,
        images: Chunks | None = None,
        labels: Callable[[], Array] | None = None,
        notes: tuple[str, ...] = (),
        *,
        either: bool = False,
    ) -> "Holding":
        """What distinguishes no parts, and may hold images, labels or both."""
        return cls(
            form,
            {"all": images} if images else {},
            {"all": labels} if labels else {},
            contents,
            notes,
            either,
        )

    @classmethod
    def one(cls, form: str, array: Callable[[], Array]) -> "Holding":
        """What holds one array without a name: labels, if it has one dimension, else either."""
        shape = array().shape
        found = f"an array of shape {shape}"
        if len(shape) < 2 or shape[1:] == (1,):
            return cls.whole(form, found, labels=array)
        return cls.whole(form, found, lambda: chunks(array()), array, either=True)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that it distinguishes, in order; none, if it is one whole."""
        return tuple(part for part in PARTS if part in self.images)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it has images, in order: `parts`, and before them what is of none."""
        return tuple(place for place in PLACES if place in self.images)

    def named(self, place: Place) -> Iterator[str]:
        """The names of the images at `place`, in their order; none, if they have none."""
        return self.names[place]() if place in self.names else iter(())

    def place(self, kind: Kind, part: Place) -> Place:
        """Where the `kind` of arrays for `part` are: under its name, or in a file of one whole.

        Raises:
            DataError: there are none.
        """
        held: Mapping[Place, object] = self.images if kind == "images" else self.labels
        places: tuple[Place, ...] = (part, "all")
        for place in places:
            if place in held:
                return place
        raise DataError(
            f"found {self.contents}, expected {kind} of all or of the {part} part, by a name as "
            f"{kind} or {part}_{kind}"
        )


def listed(names: Iterable[str]) -> str:
    """Some of `names`, and how many more there are."""
    shown = list(names)
    more = len(shown) - MOST_LISTED
    return ", ".join(shown[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def chunks(array: Array) -> Iterator[Array]:
    """`array`, (n, ...), in pieces of some MiB, not copied: one at least, be it empty.

    Raises:
        DataError: it may be one square image as well as a row for each of many.
    """
    if array.ndim == 2 and array.shape[0] == array.shape[1]:
        raise DataError(
            f"found an array of shape {array.shape}, which may be one image or {len(array)}; "
            "reshape it to (count, side, side)"
        )
    if not array.ndim:
        yield array
        return
    step = max(CHUNK_BYTES // max(array[:1].nbytes, 1), 1)
    for start in range(0, max(len(array), 1), step):
        yield array[start : start + step]


def joined(pieces: Iterator[Array]) -> Array:
    """All of them as one array.

    Raises:
        DataError: they do not fit together.
    """
    held = list(pieces)
    if len({piece.shape[1:] for piece in held}) > 1:
        raise DataError("found images of several sizes, expected one")
    return held[0] if len(held) == 1 else np.concatenate(held)
