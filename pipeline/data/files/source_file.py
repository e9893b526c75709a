"""A file that is read with care: gzipped or not, and never more of it than it may expand to."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.errors import DataError
from pipeline.outs import artifacts

GZIP = b"\x1f\x8b"
START = 64  # bytes by which a format is told

# What a compressed file may expand to, so that a small one can't fill the memory: the larger of
# these. Deflate packs MNIST 4.9 to 1, its pixels as 0 and 1 by 25 (by 121 as float64), and pen
# strokes one pixel wide, in images of 512 x 512, by 173. Its utmost, for zeros, is 1032.
MAX_EXPANSION = 200
ALWAYS_ALLOWED = 16 * 2**20  # bytes; labels in order are packed by 500, but are small
STEP = 2**20  # bytes read at once


@dataclass(frozen=True)
class SourceFile:
    """A file of images or labels; opened anew whenever something is read.

    Attributes:
        path: where it is.
        limit: bytes that it may expand to.
        packed: whether it is gzipped.
        start: its first bytes, unpacked.
    """

    path: Path
    limit: int
    packed: bool
    start: bytes

    @classmethod
    def of(cls, path: Path) -> "SourceFile":
        """Look at the file.

        Raises:
            DataError, OSError, EOFError, zlib.error: it can't be read.
        """
        with artifacts.open_file(path) as file:
            limit = allowed(os.fstat(file.fileno()).st_size)
            packed = file.read(len(GZIP)) == GZIP
        found = cls(path, limit, packed, b"")
        with found.opened() as file:
            return cls(path, limit, packed, file.read(START))

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its content, unpacked as it is read."""
        with artifacts.open_file(self.path) as file:
            if self.packed:
                with gzip.open(file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield file

    @contextmanager
    def seekable(self) -> Iterator[BinaryIO]:
        """Its content to be read in any order: a gzipped one unpacked in memory."""
        if self.packed:
            yield io.BytesIO(self.content())
        else:
            with self.opened() as file:
                yield file

    def content(self) -> bytes:
        """All of it, unpacked.

        Raises:
            DataError: that is more than it may expand to.
        """
        with self.opened() as file:
            body = bytearray()
            while block := file.read(STEP):
                body += block
                if self.packed:
                    check_expansion(len(body), self.limit)
        return bytes(body)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Name `path` in what goes wrong with it.

    Raises:
        DataError: the file can't be read, or holds what can't be used.
    """
    try:
        yield
    except DataError as error:
        raise type(error)(f"{path}: {error}") from None
    except MemoryError:
        raise DataError(f"{path}: can't be read: holds more than fits in memory") from None
    # ValueError: a NUL in the path, say
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: can't be read: {reason}") from None


def allowed(size: int) -> int:
    """Bytes that what takes `size` bytes on the disk may expand to."""
    return max(ALWAYS_ALLOWED, MAX_EXPANSION * size)


def check_expansion(size: int, limit: int) -> None:
    """Refuse what expands to `size` bytes if that is beyond `limit`.

    Raises:
        DataError: it is.
    """
    if size > limit:
        raise DataError(
            f"found an array of {size} bytes, expected at most {limit}, or {MAX_EXPANSION} times "
            "the file; if it is what it should be, save it uncompressed"
        )
