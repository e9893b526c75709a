"""The answers to all images of a source, in columns."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from pipeline.data.datasets import Images
from pipeline.data.files import images
from pipeline.data.files.holding import Place
from pipeline.data.files.readers import Source
from pipeline.data.files.source_file import told
from pipeline.data.files.sources import Sources
from pipeline.prediction.files import Columns

STEP = 4096  # images at a time; a reconstruction takes four times the memory of its image


def answers(
    answer: Callable[[Images], Columns], source: Source, settings: Sources
) -> Iterator[Columns]:
    """The columns of each batch of images that `source` holds, of all of its parts.

    Args:
        answer: what a model makes of uint8 (n, side, side).
        source: of the images.
        settings: `to_grey` and `transpose`, as for the images that it was trained on.

    Raises:
        DataError: they can't be read, or are of another size than the model takes.
    """
    none: tuple[Place, ...] = ("test",)  # which complains that there are none
    for place in source.holding.places or none:
        number, names = 0, source.holding.named(place)
        for batch in _batches(source, place, settings):
            with told(source.path):
                answered = answer(batch)
            called = np.array([*map(_text, islice(names, len(batch)))], dtype=str)
            yield {
                "input": np.full(len(batch), _text(str(source.path))),
                "part": np.full(len(batch), "" if place == "all" else place),
                "number": np.arange(number, number + len(batch)),
                "name": called if len(called) else np.full(len(batch), ""),
                **answered,
            }
            number += len(batch)


def _text(name: str) -> str:
    """`name` as text that can be written: a file's need not be, and such bytes become escapes."""
    return name.encode(errors="backslashreplace").decode()


def _batches(source: Source, place: Place, settings: Sources) -> Iterator[Images]:
    def note(text: str) -> None:
        print(f"{source.path}: {text}", file=sys.stderr)

    chunks = images.batches(
        source, place, note, to_grey=settings.to_grey, transpose=settings.transpose
    )
    for chunk in chunks:
        for first in range(0, len(chunk), STEP):
            yield chunk[first : first + STEP]
