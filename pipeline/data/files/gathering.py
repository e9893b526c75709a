"""Chunks of images gathered into one array: in memory, or in a file where they are many."""

import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.data.datasets import Images
from pipeline.errors import StorageError

IN_MEMORY = 2**28  # bytes


def gathered(chunks: Iterable[Images]) -> Images:
    """All of `chunks`, (n, side, side) each, as one array.

    Beyond `IN_MEMORY` it is mapped from a file without a name, which ends with the array: the
    system may drop such pages from memory, and read them again.

    Raises:
        StorageError: there is no room for the file.
    """
    held: list[Images] = []
    size = 0
    coming = iter(chunks)
    for chunk in coming:
        held.append(chunk)
        size += chunk.nbytes
        if size > IN_MEMORY:
            return _mapped(held, coming)
    return held[0] if len(held) == 1 else np.concatenate(held)


def _mapped(held: list[Images], coming: Iterable[Images]) -> Images:
    side, count = held[0].shape[1], 0
    here = Path.cwd()  # where the prepared arrays will need as much room
    try:
        with tempfile.TemporaryFile(dir=here) as file:
            for chunk in chain(held, coming):
                file.write(np.ascontiguousarray(chunk).data)
                count += len(chunk)
            file.flush()
            return np.memmap(file, np.uint8, "r", shape=(count, side, side))
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{here}: images can't be gathered in a file: {reason}") from None
