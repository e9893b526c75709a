"""Dataset files of every accepted format, read as arrays; nothing in a file is ever run.

A file's format is recognised by its first bytes, so names and endings are free:

- pickle: `{"images": array, "labels": array}`
- npz: `images`, `labels`; or `x_train`, `y_train`, `x_test`, `y_test`, as Keras names them
- IDX (the MNIST files' own): images in one file, labels in another; gzipped or not
"""

import gzip
import io
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from pipeline.data.files import array_pickle
from pipeline.errors import DataError
from pipeline.outs import artifacts

Array = npt.NDArray[Any]
Part = Literal["train", "test"]
Kind = Literal["images", "labels"]

GZIP, NPZ, PICKLE = b"\x1f\x8b", b"PK\x03\x04", b"\x80"
# IDX: two zero bytes, the element type (0x08 is an unsigned byte), the number of dimensions, then
# each dimension as a big-endian 32-bit count (the format's page at the MNIST site).
IDX_DIMENSIONS = {b"\x00\x00\x08\x03": 3, b"\x00\x00\x08\x01": 1}
NPZ_NAMES = {"images": "x_{part}", "labels": "y_{part}"}

# What a compressed file may expand to, so that a small one can't fill the memory: the larger of
# these. Deflate packs MNIST 4.9 to 1, its pixels as 0 and 1 by 25 (by 121 as float64), and pen
# strokes one pixel wide, in images of 512 x 512, by 173. Its utmost, for zeros, is 1032.
MAX_EXPANSION = 200
ALWAYS_ALLOWED = 16 * 2**20  # bytes; labels in order are packed by 500, but are small
STEP = 2**20  # bytes read at once
NPY_HEADER = 2**14  # bytes; NumPy itself accepts 10,000 characters


def read(path: Path, kind: Kind, part: Part) -> Array:
    """The `kind` of array that `path` holds for `part` of a dataset.

    Returns:
        The array as it is stored; `datasets` checks its shape, type and range.

    Raises:
        DataError: the file can't be read, is none of the formats, or has no such array.
    """
    try:
        with artifacts.open_file(path) as file:
            return _read(file, kind, part)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except MemoryError:
        raise DataError(f"{path}: can't be read: holds more than fits in memory") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: can't be read: {reason}") from None


def _read(file: BinaryIO, kind: Kind, part: Part) -> Array:
    start = file.read(4)
    file.seek(0)
    limit = max(ALWAYS_ALLOWED, MAX_EXPANSION * os.fstat(file.fileno()).st_size)
    if start.startswith(GZIP):
        return _read_idx(gzip.open(file), kind, limit)
    if start in IDX_DIMENSIONS:
        return _read_idx(file, kind, limit)
    if start.startswith(NPZ):
        return _read_npz(file, kind, part, limit)
    if start.startswith(PICKLE):
        return _read_pickle(file, kind)
    raise DataError(
        f"found a file that starts with {start!r}, "
        "expected a pickle, an .npz or an IDX file (gzipped or not)"
    )


def has_part(path: Path, part: Part) -> bool:
    """Whether `path` is an .npz that names its `part`: `x_test` beside `x_train`, say."""
    try:
        with artifacts.open_file(path) as file, zipfile.ZipFile(file) as archive:
            return f"x_{part}.npy" in archive.namelist()
    except Exception:  # a broken archive may raise anything; `read` reports what is wrong with it
        return False


def _read_idx(stream: BinaryIO | gzip.GzipFile, kind: Kind, limit: int) -> Array:
    start = stream.read(4)
    expected = {"images": 3, "labels": 1}[kind]
    if IDX_DIMENSIONS.get(start) != expected:
        raise DataError(
            f"found an IDX header of {start!r}, "
            f"expected {kind} as unsigned bytes in {expected} dimension(s)"
        )
    header = stream.read(4 * expected)
    if len(header) < 4 * expected:
        raise DataError("ends within its IDX header")
    shape = tuple(int(count) for count in np.frombuffer(header, ">u4"))
    # Read in steps: memory follows what the file holds, not what its header claims.
    claimed, body = math.prod(shape), bytearray()
    _check_expansion(claimed, limit)
    while len(body) <= claimed and (block := stream.read(STEP)):
        body += block
    if len(body) != claimed:
        size = "more" if len(body) > claimed else f"{len(body)} bytes"
        raise DataError(f"its header claims {claimed} bytes for {shape}, found {size}")
    if 0 in shape:
        raise DataError(f"its header claims no {kind}: {shape}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _check_expansion(size: int, limit: int) -> None:
    if size > limit:
        raise DataError(
            f"found an array of {size} bytes, expected at most {limit}, or {MAX_EXPANSION} times "
            "the file; if it is what it should be, save it uncompressed"
        )


def _read_npz(file: BinaryIO, kind: Kind, part: Part, limit: int) -> Array:
    names = (NPZ_NAMES[kind].format(part=part), kind)
    try:
        with zipfile.ZipFile(file) as archive:
            held = [entry.removesuffix(".npy") for entry in archive.namelist()]
            for name in names:
                if name in held:
                    return _read_npy(archive, archive.getinfo(f"{name}.npy"), limit)
    except Exception as error:  # a broken archive may raise anything
        raise DataError(f"not a readable .npz: {str(error) or type(error).__name__}") from None
    found = ", ".join(held) or "nothing"
    raise DataError(f"found {found}, expected '{names[0]}' or '{names[1]}'")


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> Array:
    # NumPy writes no other; and only of these two does zipfile unpack no more than is asked for.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("found another compression than deflate")
    _check_expansion(member.file_size, limit)
    body = bytearray()
    with archive.open(member) as stream:
        while block := stream.read(STEP):  # ends with `file_size`, whatever the member holds
            body += block
    # Mapped where it lies: `np.load` would reserve what the header claims.
    header = io.BytesIO(body[:NPY_HEADER])
    version = np.lib.format.read_magic(header)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(header)
    return array_pickle.shaped(memoryview(body)[header.tell() :], dtype, shape, fortran=fortran)


def _read_pickle(file: BinaryIO, kind: Kind) -> Array:
    arrays = array_pickle.load(file.read())
    if kind not in arrays:
        found = ", ".join(arrays) or "no array"
        raise DataError(f"found {found}, expected a dict with an array '{kind}'")
    return arrays[kind]
