"""IDX, the MNIST files' own format: images in one file, labels in another.

Two zero bytes, the element type (0x08 is an unsigned byte), the number of dimensions, then each
dimension as a big-endian 32-bit count (the format's page at the MNIST site).
"""

import math

import numpy as np

from pipeline.data.files.holding import Array, Holding, chunks
from pipeline.data.files.source_file import STEP, SourceFile, check_expansion
from pipeline.errors import DataError

FORM = "an IDX file"
DIMENSIONS = {b"\x00\x00\x08\x03": 3, b"\x00\x00\x08\x01": 1}


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is one, also of a kind that can't be used."""
    return start[:2] == b"\x00\x00"


def hold(file: SourceFile) -> Holding:
    """What `file` holds: its header says whether images or labels.

    Raises:
        DataError: it has another type of elements, or another number of dimensions.
    """
    dimensions = DIMENSIONS.get(file.start[:4])
    if dimensions is None:
        raise DataError(
            f"found an IDX header of {file.start[:4]!r}, expected unsigned bytes in 3 dimensions, "
            "which are images, or in 1, which are labels"
        )
    if dimensions == 1:
        return Holding.whole(FORM, "an IDX file of labels", labels=lambda: _read(file, 1))
    return Holding.whole(FORM, "an IDX file of images", lambda: chunks(_read(file, 3)))


def _read(file: SourceFile, dimensions: int) -> Array:
    with file.opened() as stream:
        header = stream.read(4 + 4 * dimensions)[4:]
        if len(header) < 4 * dimensions:
            raise DataError("ends within its IDX header")
        shape = tuple(int(count) for count in np.frombuffer(header, ">u4"))
        # Read in steps: memory follows what the file holds, not what its header claims.
        claimed, body = math.prod(shape), bytearray()
        check_expansion(claimed, file.limit)
        while len(body) <= claimed and (block := stream.read(STEP)):
            body += block
    if len(body) != claimed:
        size = "more" if len(body) > claimed else f"{len(body)} bytes"
        raise DataError(f"its header claims {claimed} bytes for {shape}, found {size}")
    if 0 in shape:
        raise DataError(f"its header claims nothing: {shape}")
    return np.frombuffer(body, np.uint8).reshape(shape)
