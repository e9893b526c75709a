"""Examples in an epoch's order, a chunk at a time: from memory, or from a file too large for it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Examples = tuple[Array, Array]  # inputs (n, ...) and labels (n,)

CHUNK_BYTES = 16 * 2**20  # of inputs handed to the graph at a time, so memory stays bounded


def chunk_size(inputs: Array, batch_size: int) -> int:
    """As many whole batches as fit `CHUNK_BYTES`: the chunks don't change what is computed."""
    batches = CHUNK_BYTES // (inputs[:1].nbytes * batch_size)
    return max(int(batches), 1) * batch_size


def shuffled(
    examples: Examples, size: int, *, seed: int, epochs: Iterable[int], budget: float = math.inf
) -> Iterator[Examples]:
    """Chunks of `size`, epoch after epoch, each of `epochs` (from 0) once.

    An epoch's order follows from (seed, epoch), and where the inputs take more bytes than `budget`,
    from that: then the file's chunks are shuffled, as many read as the budget holds, and these
    examples shuffled among themselves. Reading is in long pieces, and memory stays within
    the budget, whatever the size of the file.
    """
    for epoch in epochs:
        generator = np.random.default_rng((seed, epoch))
        for inputs, labels in _windows(examples, size, budget, generator):
            order = generator.permutation(len(inputs))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                yield inputs[chosen], labels[chosen]
            del inputs, labels  # before the next window is read


def in_order(examples: Examples, size: int) -> Iterator[Examples]:
    """Chunks of `size`, once."""
    inputs, labels = examples
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size], labels[start : start + size]


def _windows(
    examples: Examples, size: int, budget: float, generator: np.random.Generator
) -> Iterator[Examples]:
    """All examples, as many at a time as `budget` holds, in pieces of `size`."""
    inputs, labels = examples
    if inputs.nbytes <= budget:
        yield examples
        return
    starts = generator.permutation(len(inputs) // size) * size
    # What is left over is no whole piece; it stays last, as the last batch may be smaller.
    ordered = [*starts.tolist(), *range(len(starts) * size, len(inputs), size)]
    together = max(int(budget // inputs[:size].nbytes), 1)
    for first in range(0, len(ordered), together):
        pieces = ordered[first : first + together]
        yield _gathered(inputs, pieces, size), _gathered(labels, pieces, size)


def _gathered(array: Array, starts: Sequence[int], size: int) -> Array:
    """The pieces of `array` of `size` that begin at `starts`.

    A mapped one is read as a file, since mapped pages stay in memory.
    """
    lengths = [len(array[start : start + size]) for start in starts]
    gathered = np.empty((sum(lengths), *array.shape[1:]), array.dtype)
    filled = 0
    for start, length in zip(starts, lengths, strict=True):
        if isinstance(array, np.memmap) and array.filename:
            offset = array.offset + start * array[:1].nbytes
            count = length * math.prod(array.shape[1:])
            piece = np.fromfile(array.filename, array.dtype, count, offset=offset)
        else:
            piece = array[start : start + length]
        gathered[filled : filled + length] = piece.reshape(length, *array.shape[1:])
        filled += length
    return gathered
