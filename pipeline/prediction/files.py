"""Files of predictions, written batch by batch: CSV, Parquet or .npz."""

import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.prediction import ENDINGS

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]  # of equal length; a column of arrays, (n, ...), is .npz's alone
Batches = Iterable[Columns]  # of the same names and types
TEXTS = 4096  # put into an .npz at a time: there, each takes the space of the longest
BLOCK = 2**20  # bytes of numbers, likewise
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry


def write_csv(path: Path, batches: Batches) -> None:
    """A row an image, a heading first; figures have the digits that tell them from others.

    Text is quoted, since the name of a file may hold whatever ends a row.
    """
    from pyarrow import csv

    _write_table(partial(csv.CSVWriter, path), batches)


def write_parquet(path: Path, batches: Batches) -> None:
    """The same table, a row group a batch."""
    from pyarrow import parquet

    _write_table(partial(parquet.ParquetWriter, path), batches)


def write_npz(path: Path, batches: Batches) -> None:
    """An array a column. Numbers are kept in files until it is known how many there are."""
    parts: dict[str, tuple[IO[bytes], Array]] = {}
    texts: dict[str, list[str]] = {}
    count = 0
    with ExitStack() as stack:
        for columns in batches:
            for name, column in columns.items():
                if column.dtype.kind == "U":
                    texts.setdefault(name, []).extend(map(sys.intern, column.tolist()))
                    continue
                if name not in parts:
                    part = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                    parts[name] = part, column[:0]
                parts[name][0].write(np.ascontiguousarray(column).data)
            count += len(next(iter(columns.values())))
        archive = stack.enter_context(zipfile.ZipFile(path, "w"))
        for name, held in texts.items():
            like = np.empty(0, (np.str_, max(1, *map(len, held))))
            pieces = (held[first : first + TEXTS] for first in range(0, count, TEXTS))
            arrays = (np.array(piece, like.dtype) for piece in pieces)
            _add(archive, name, like, (count,), (array.tobytes() for array in arrays))
        for name, (kept, empty) in parts.items():
            kept.seek(0)
            shape = (count, *empty.shape[1:])
            _add(archive, name, empty, shape, iter(partial(kept.read, BLOCK), b""))


FORMS: dict[str, Callable[[Path, Batches], None]] = dict(
    zip(ENDINGS, (write_csv, write_parquet, write_npz), strict=True)
)


def _write_table(begun: Callable[[Any], Any], batches: Batches) -> None:
    """Write the columns that a table can hold by one of Arrow's writers, `begun` with a schema."""
    import pyarrow as pa

    with ExitStack() as stack:
        writer = None
        for columns in batches:
            flat = {name: pa.array(column) for name, column in columns.items() if column.ndim == 1}
            table = pa.table(flat)
            writer = writer or stack.enter_context(begun(table.schema))
            writer.write_table(table)


def _add(
    archive: zipfile.ZipFile,
    name: str,
    like: Array,
    shape: tuple[int, ...],
    blocks: Iterable[bytes],
) -> None:
    """Add `blocks` as an array of this `shape`, of the type of `like`."""
    entry = zipfile.ZipInfo(f"{name}.npy", ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    described = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False}
    with archive.open(entry, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, described | {"shape": shape})
        member.writelines(blocks)
