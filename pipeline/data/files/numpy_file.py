"""NumPy's own files: an `.npz` of named arrays, an `.npy` of one."""

import io
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from pipeline.data.files import names
from pipeline.data.files.holding import Array, Chunks, Holding, chunks, listed
from pipeline.data.files.pickled_arrays import shaped
from pipeline.data.files.source_file import STEP, SourceFile, check_expansion
from pipeline.errors import DataError

ZIP, NPY = b"PK\x03\x04", b"\x93NUMPY"
NPY_HEADER = 2**14  # bytes; NumPy itself accepts 10,000 characters
UNNAMED = "arr_0"  # what `np.savez(path, array)` calls it


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is one."""
    return start.startswith((ZIP, NPY))


def hold(file: SourceFile) -> Holding:
    """What `file` holds: by the names of its arrays, or by the shape of the only one.

    Raises:
        DataError: it is no archive of arrays.
    """
    if file.start.startswith(NPY):
        return Holding.one("an .npy file", lambda: _read_npy(file))
    held = _members(file)
    if held == [UNNAMED]:
        return Holding.one("an .npz file", lambda: _read_member(file, UNNAMED))
    chosen = names.chosen(held)

    def read(name: str) -> Callable[[], Array]:
        return lambda: _read_member(file, name)

    def pieces(name: str) -> Chunks:
        return lambda: chunks(_read_member(file, name))

    return Holding(
        "an .npz file",
        {place: pieces(name) for (kind, place), name in chosen.items() if kind == "images"},
        {place: read(name) for (kind, place), name in chosen.items() if kind == "labels"},
        listed(held) or "nothing",
    )


def _members(file: SourceFile) -> list[str]:
    try:
        with file.seekable() as opened, zipfile.ZipFile(opened) as archive:
            names_ = archive.namelist()
    except Exception as error:  # a broken archive may raise anything
        raise DataError(f"not a readable .npz: {str(error) or type(error).__name__}") from None
    if names_ and not any(name.endswith(".npy") for name in names_):
        raise DataError("found a zip archive without arrays, expected an .npz; unpack it first")
    return [name.removesuffix(".npy") for name in names_ if name.endswith(".npy")]


def _read_member(file: SourceFile, name: str) -> Array:
    try:
        with file.seekable() as opened, zipfile.ZipFile(opened) as archive:
            member = archive.getinfo(f"{name}.npy")
            # NumPy writes no other; and only of these two does zipfile unpack no more than is
            # asked for.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError("found another compression than deflate")
            check_expansion(member.file_size, file.limit)
            with archive.open(member) as stream:  # ends with `file_size`, whatever it holds
                return _array(stream)  # type: ignore[arg-type]
    except Exception as error:  # a broken archive may raise anything
        raise DataError(f"not a readable .npz: {str(error) or type(error).__name__}") from None


def _read_npy(file: SourceFile) -> Array:
    try:
        return _array(io.BytesIO(file.content()))
    except Exception as error:  # a broken header may raise anything
        raise DataError(f"not a readable .npy: {str(error) or type(error).__name__}") from None


def _array(stream: BinaryIO) -> Array:
    body = bytearray()
    while block := stream.read(STEP):
        body += block
    # Mapped where it lies: `np.load` would reserve what the header claims.
    header = io.BytesIO(body[:NPY_HEADER])
    version = np.lib.format.read_magic(header)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(header)
    return shaped(memoryview(body)[header.tell() :], dtype, shape, fortran=fortran)
