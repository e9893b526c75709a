"""Pictures, PNG or JPEG, decoded by Pillow: of the size expected, or refused before they are."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pipeline.data.files.holding import CHUNK_BYTES, Array
from pipeline.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
FORMATS = ("PNG", "JPEG")
MOST_PIXELS = 2**22  # of one picture: 2,048 x 2,048
# By Pillow's modes. One with a palette, or with transparency, may turn out to be grey and opaque.
GREY, IN_COLOUR, TRANSPARENT = ("1", "L"), ("P", "RGB"), ("LA", "PA", "RGBA")


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is a picture."""
    return start.startswith((PNG, JPEG))


def decode(file: BinaryIO) -> Array:
    """The picture in `file`: grey, uint8 (height, width), or in colour, uint8 (height, width, 3).

    It is turned as its EXIF says, as it is seen in a viewer.

    Raises:
        DataError: it is no picture of 8 bits that can be read, too large, or partly transparent.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here
            with Image.open(file, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise DataError(
                        f"found a picture of {width} x {height}, expected at most "
                        f"{MOST_PIXELS} pixels; scale it down"
                    )
                if getattr(picture, "n_frames", 1) > 1:
                    raise DataError("found a file of several pictures, expected one")
                # Pillow itself keeps the upper half of 16 bits, unless the picture is grey.
                if any(";16" in str(tile.args) for tile in picture.tile):
                    raise DataError("found a picture of 16 bits, expected 8; convert it")
                # Cameras keep what they see as it lies, and say how it is to be turned.
                ImageOps.exif_transpose(picture, in_place=True)
                return _pixels(picture)
    except DataError:
        raise
    except Exception as error:  # a broken picture may raise anything
        # Pillow's own text names an object in memory.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "neither PNG nor JPEG, or broken" if unknown else error or type(error).__name__
        raise DataError(f"not a readable picture: {reason}") from None


def _pixels(picture: "Image") -> Array:
    mode = picture.mode
    if mode in TRANSPARENT or (mode in GREY + IN_COLOUR and "transparency" in picture.info):
        pixels = np.asarray(picture.convert("RGBA"))
        if pixels[..., 3].min() < 255:
            raise DataError("found a picture that is partly transparent; draw it on a background")
        return pixels[..., :3]
    if mode in GREY:
        return np.asarray(picture.convert("L"))
    if mode in IN_COLOUR:
        return np.asarray(picture.convert("RGB"))
    raise DataError(f"found a picture of mode {mode}, expected 8 bits, grey or RGB; convert it")


def chunked(decoded: Iterator[Array]) -> Iterator[Array]:
    """What was `decoded`, some MiB together: (n, height, width), or with 3 colours behind."""
    chunk: list[Array] = []
    for pixels in decoded:
        if chunk and (pixels.shape != chunk[0].shape or len(chunk) * pixels.nbytes >= CHUNK_BYTES):
            yield np.stack(chunk)
            chunk = []
        chunk.append(pixels)
    if chunk:
        yield np.stack(chunk)
