"""Files of predictions, written batch by batch: CSV, Parquet or .npz."""

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.prediction import ENDINGS

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]  # of equal length; a column of arrays, (n, ...), is .npz's alone
Batches = Iterable[Columns]  # of the same names and types
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry


def write_csv(path: Path, batches: Batches) -> None:
    """A row an image, a heading first; figures have the digits that tell them from others."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, columns in enumerate(batches):
            flat = _flat(columns)
            if not number:
                writer.writerow(flat)
            writer.writerows(zip(*(column.astype(str) for column in flat.values()), strict=True))


def write_parquet(path: Path, batches: Batches) -> None:
    """The same table, a row group a batch."""
    import pyarrow as pa
    from pyarrow import parquet

    with ExitStack() as stack:
        writer = None
        for columns in batches:
            flat = {name: pa.array(column) for name, column in _flat(columns).items()}
            table = pa.table(flat)
            writer = writer or stack.enter_context(parquet.ParquetWriter(path, table.schema))
            writer.write_table(table)


def write_npz(path: Path, batches: Batches) -> None:
    """An array a column. Numbers are kept in files until it is known how many there are."""
    parts: dict[str, tuple[IO[bytes], Array]] = {}
    texts: dict[str, list[str]] = {}
    count = 0
    with ExitStack() as stack:
        for columns in batches:
            for name, column in columns.items():
                if column.dtype.kind == "U":
                    texts.setdefault(name, []).extend(column.tolist())
                    continue
                if name not in parts:
                    part = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                    parts[name] = part, column[:0]
                parts[name][0].write(np.ascontiguousarray(column).data)
            count += len(next(iter(columns.values())))
        archive = stack.enter_context(zipfile.ZipFile(path, "w"))
        for name, held in texts.items():
            array = np.array(held, dtype=str)
            _add(archive, name, array, array.shape, io.BytesIO(array.tobytes()))
        for name, (kept, empty) in parts.items():
            kept.seek(0)
            _add(archive, name, empty, (count, *empty.shape[1:]), kept)


FORMS: dict[str, Callable[[Path, Batches], None]] = dict(
    zip(ENDINGS, (write_csv, write_parquet, write_npz), strict=True)
)


def _flat(columns: Columns) -> dict[str, Array]:
    """Those that a table can hold."""
    return {name: column for name, column in columns.items() if column.ndim == 1}


def _add(
    archive: zipfile.ZipFile, name: str, like: Array, shape: tuple[int, ...], data: IO[bytes]
) -> None:
    """Add `data` as an array of this `shape`, of the type of `like`."""
    entry = zipfile.ZipInfo(f"{name}.npy", ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    described = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False}
    with archive.open(entry, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, described | {"shape": shape})
        shutil.copyfileobj(data, member)
