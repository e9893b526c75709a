"""Dataset files of every accepted format, read as arrays; nothing in a file is ever run.

A file tells its format by its first bytes, so names and endings are free:

- pickle: `{"images": array, "labels": array}`
- npz: `images`, `labels`; or `x_train`, `y_train`, `x_test`, `y_test`, as Keras names them
- IDX (the MNIST files' own): images in one file, labels in another; gzipped or not
"""

import gzip
import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from pipeline import array_pickle
from pipeline.errors import DataError

Array = npt.NDArray[Any]
Part = Literal["train", "test"]
Kind = Literal["images", "labels"]

GZIP, NPZ, PICKLE = b"\x1f\x8b", b"PK\x03\x04", b"\x80"
# IDX: two zero bytes, the element type (0x08 is an unsigned byte), the number of dimensions, then
# each dimension as a big-endian 32-bit count (the format's page at the MNIST site).
IDX_DIMENSIONS = {b"\x00\x00\x08\x03": 3, b"\x00\x00\x08\x01": 1}
NPZ_NAMES = {"images": "x_{part}", "labels": "y_{part}"}


def read(path: Path, kind: Kind, part: Part) -> Array:
    """The `kind` of array that `path` holds for `part` of a dataset.

    Returns:
        The array as it is stored; `datasets` checks its shape, type and range.

    Raises:
        DataError: the file can't be read, is none of the formats, or has no such array.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith(GZIP):
                return _read_idx(gzip.open(file), path, kind)
            if start in IDX_DIMENSIONS:
                return _read_idx(file, path, kind)
            if start.startswith(NPZ):
                return _read_npz(file, path, kind, part)
            if start.startswith(PICKLE):
                return _read_pickle(file, path, kind)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read: {error}") from None
    raise DataError(
        f"{path}: found a file that starts with {start!r}, "
        "expected a pickle, an .npz or an IDX file (gzipped or not)"
    )


def has_part(path: Path, part: Part) -> bool:
    """Whether `path` is an .npz that names its `part`: `x_test` beside `x_train`, say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"x_{part}.npy" in archive.namelist()
    except Exception:  # a broken archive may raise anything; `read` tells what is wrong with it
        return False


def _read_idx(stream: BinaryIO | gzip.GzipFile, path: Path, kind: Kind) -> Array:
    start = stream.read(4)
    expected = {"images": 3, "labels": 1}[kind]
    if IDX_DIMENSIONS.get(start) != expected:
        raise DataError(
            f"{path}: found an IDX header of {start!r}, "
            f"expected {kind} as unsigned bytes in {expected} dimension(s)"
        )
    header = stream.read(4 * expected)
    if len(header) < 4 * expected:
        raise DataError(f"{path}: ends within its IDX header")
    shape = tuple(int(count) for count in np.frombuffer(header, ">u4"))
    # Read in steps: memory follows what the file holds, not what its header claims.
    claimed, body = math.prod(shape), bytearray()
    while len(body) <= claimed and (block := stream.read(1 << 20)):
        body += block
    if len(body) != claimed:
        size = "more" if len(body) > claimed else f"{len(body)} bytes"
        raise DataError(f"{path}: its header claims {claimed} bytes for {shape}, found {size}")
    if 0 in shape:
        raise DataError(f"{path}: its header claims no {kind}: {shape}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _read_npz(file: BinaryIO, path: Path, kind: Kind, part: Part) -> Array:
    names = (NPZ_NAMES[kind].format(part=part), kind)
    try:
        with zipfile.ZipFile(file) as archive:
            held = [entry.removesuffix(".npy") for entry in archive.namelist()]
            for name in names:
                if name in held:
                    return _read_npy(archive, f"{name}.npy")
    except Exception as error:  # a broken archive may raise anything
        raise DataError(f"{path}: not a readable .npz: {_line(error)}") from None
    found = ", ".join(held) or "nothing"
    raise DataError(f"{path}: found {found}, expected '{names[0]}' or '{names[1]}'")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _read_npy(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as member:
        body = member.read()
    # Mapped where it lies: `np.load` would reserve what the header claims.
    stream = io.BytesIO(body)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(stream)
    return array_pickle.shaped(body[stream.tell() :], dtype, shape, "F" if fortran else "C")


def _read_pickle(file: BinaryIO, path: Path, kind: Kind) -> Array:
    try:
        arrays = array_pickle.load(file.read())
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if kind not in arrays:
        found = ", ".join(arrays) or "no array"
        raise DataError(f"{path}: found {found}, expected a dict with an array '{kind}'")
    return arrays[kind]
