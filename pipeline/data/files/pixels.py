"""Images as they are stored to grey levels, uint8 (n, side, side): only where that loses nothing.

What a file means is taken as certain where no other reading makes sense, and said; else it is
refused, with what to do.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from pipeline.data.datasets import Images
from pipeline.data.files.holding import Array, Chunks
from pipeline.errors import DataError

Note = Callable[[str], None]
# The weights of red, green and blue in a grey (ITU-R BT.601), as Pillow rounds them; they sum to
# 2 ** 16, so that a grey in colours stays as it is.
WEIGHTS = np.array([19595, 38470, 7471], np.uint32)
DARK = 16  # what has no level above this may have been counted otherwise: scikit-learn's digits
SHAPES = "(count, side, side), (count, side * side), or with 1 or 3 channels"
# What floats from 0 to 1 may be divided by. The classic mnist.pkl.gz has k/256, others k/255.
DIVISORS = {255: "floats from 0 to 1 taken as k/255", 256: "floats below 1 taken as k/256"}


class ColourError(DataError):
    """Images are in colour, and nobody said what is to be made of it."""


def levels(chunks: Chunks, note: Note, *, to_grey: bool, transpose: bool) -> Iterator[Images]:
    """The images of `chunks`, uint8 (n, side, side), a chunk for each.

    Args:
        chunks: gives them as they are stored; called again where a first look does not tell.
        note: is told, once each, what was understood.
        to_grey: weigh colours to a grey; else only what is grey already is taken.
        transpose: swap rows and columns.

    Raises:
        DataError: they are no square images, or what their numbers mean is not certain.
    """
    told: set[str] = set()

    def say(text: str) -> None:
        if text not in told:
            told.add(text)
            note(text)

    scale, side, lightest = None, None, 0
    for chunk in chunks():
        shaped = _channels_last(chunk)
        if shaped.dtype != np.uint8:
            scale = scale or _scale(chunks)
            shaped = _bytes(shaped, scale)
            if scale in DIVISORS:
                say(DIVISORS[scale])
        if shaped.ndim == 4:
            if not to_grey and np.ptp(shaped, axis=3).any():
                raise ColourError(
                    "found images in colour, expected grey ones; `to_grey: true` weighs red, green "
                    "and blue to a grey"
                )
            say("colours weighed to a grey" if to_grey else "grey images kept as colours")
            shaped = ((shaped @ WEIGHTS + 2**15) >> 16).astype(np.uint8)
        side = side or shaped.shape[1]
        if shaped.shape[1] != side:
            raise DataError(f"found images of several sizes, {side} and {shaped.shape[1]} pixels")
        lightest = max(lightest, int(shaped.max()))
        yield np.ascontiguousarray(shaped.transpose(0, 2, 1) if transpose else shaped)
    if side is None:
        raise DataError("found no image, expected one or more")
    if lightest <= DARK:
        say(f"nearly black: taken as levels of 255, and none is above {lightest}")


def _channels_last(images: Array) -> Array:
    """(n, side, side) or, in colour, (n, side, side, 3), of any form that can be only that."""
    shape = images.shape
    found = images
    if found.ndim == 2:
        side = math.isqrt(shape[1])
        if side**2 == shape[1]:
            found = found.reshape(-1, side, side)
    elif found.ndim == 4:
        if shape[1] in (1, 3) and shape[2] == shape[3] and shape[3] not in (1, 3):
            found = found.transpose(0, 2, 3, 1)
        if found.shape[3] == 1:
            found = found[..., 0]
    colours = found.ndim == 4 and found.shape[3] == 3
    if not (found.ndim == 3 or colours) or found.shape[1] != found.shape[2] or 0 in found.shape:
        raise DataError(f"found images of shape {shape}, expected {SHAPES}: one at least, square")
    return found


def _scale(chunks: Chunks) -> int:
    """What the numbers of all `chunks` are to be multiplied by: 1, or what divides those up to 1.

    The first chunk decides that has another number than 0 and 1, and is not of both `DIVISORS`, as
    some levels of 16 bits are.
    """
    white, either = False, False
    for chunk in chunks():
        if chunk.dtype.kind not in "uif":
            raise DataError(f"found pixels of type {chunk.dtype}, expected whole numbers")
        if chunk.dtype.kind != "f":
            return 1
        if chunk.size and not (chunk.min() >= 0 and chunk.max() <= 1):
            return 1
        white = white or bool(chunk.any())
        if np.isin(chunk, (0, 1)).all():
            continue
        fitting = [divisor for divisor in DIVISORS if _multiplied(chunk, divisor) is not None]
        if len(fitting) < len(DIVISORS):
            return fitting[0] if fitting else 255
        either = True
    if either:
        return 255
    if white:
        raise DataError(
            "found pixels of 0.0 and 1.0 alone, which may be black and white or two levels of 255; "
            "save them as 0 and 255, if they are black and white, else as uint8"
        )
    return 1


def _bytes(images: Array, scale: int) -> Images:
    low, top = images.min().item(), images.max().item()
    # NaN compares false with everything, so it can't pass.
    if not (low >= 0 and top * scale <= 255):
        raise DataError(f"found pixel values from {low} to {top}, expected 0 to {255 / scale:g}")
    if images.dtype.kind != "f":
        return images.astype(np.uint8)
    whole = _multiplied(images, scale)
    if whole is None:
        raise DataError(
            f"found pixel values with fractions ({low} to {top}), expected whole numbers from 0 to "
            "255, or each of them divided by 255 or by 256"
        )
    return whole


def _multiplied(images: Array, scale: int) -> Images | None:
    """Floats times `scale`, if that makes them levels."""
    scaled = images.astype(np.promote_types(images.dtype, np.float32), copy=False) * scale
    rounded = np.rint(scaled)
    # What is left of k/255 in a type of so many bytes, or in six digits of text; k/256 is exact.
    tolerance = 0 if scale != 255 else 0.07 if images.dtype.itemsize == 2 else 0.002
    if rounded.max() > 255 or np.abs(scaled - rounded).max() > tolerance:
        return None
    return rounded.astype(np.uint8)
