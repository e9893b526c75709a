"""Files of predictions, written a batch at a time: CSV, Parquet or .npz, by the name's ending."""

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.prediction import ENDINGS

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]  # of equal length; a column of arrays, (n, ...), is .npz's alone
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry


class PredictionFile(AbstractContextManager["PredictionFile"]):
    """A file that takes batches of columns, all of the same names and types."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open = ExitStack()

    def write(self, columns: Columns) -> None:
        """Add a batch."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is left to be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.open:
            if error is None:
                self.finish()


class CSVFile(PredictionFile):
    """A row an image, a heading first."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        file = self.open.enter_context(path.open("w", encoding="utf-8", newline=""))
        self.writer = csv.writer(file, lineterminator="\n")
        self.begun = False

    def write(self, columns: Columns) -> None:
        """Add a batch; figures have as many digits as tell them from their neighbours."""
        flat = _flat(columns)
        if not self.begun:
            self.writer.writerow(flat)
            self.begun = True
        self.writer.writerows(zip(*(column.astype(str) for column in flat.values()), strict=True))


class ParquetFile(PredictionFile):
    """The same table in Parquet, a row group a batch."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writer: Any = None

    def write(self, columns: Columns) -> None:
        """Add a batch."""
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table({name: pa.array(column) for name, column in _flat(columns).items()})
        if self.writer is None:
            self.writer = self.open.enter_context(parquet.ParquetWriter(self.path, table.schema))
        self.writer.write_table(table)


class NpzFile(PredictionFile):
    """An array a column. They are kept in files until their lengths are known."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.parts: dict[str, IO[bytes]] = {}
        self.shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self.texts: dict[str, list[str]] = {}
        self.count = 0

    def write(self, columns: Columns) -> None:
        """Add a batch."""
        for name, column in columns.items():
            if column.dtype.kind == "U":
                self.texts.setdefault(name, []).extend(column.tolist())
                continue
            if name not in self.parts:
                self.parts[name] = self.open.enter_context(
                    tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115 - it does close
                )
                self.shapes[name] = column.dtype, column.shape[1:]
            self.parts[name].write(np.ascontiguousarray(column).data)
        self.count += len(next(iter(columns.values())))

    def finish(self) -> None:
        """Put the arrays together."""
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, texts in self.texts.items():
                file = io.BytesIO()
                np.save(file, np.array(texts, dtype=str))
                file.seek(0)
                _add(archive, name, file)
            for name, part in self.parts.items():
                dtype, shape = self.shapes[name]
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    header,
                    {
                        "descr": np.lib.format.dtype_to_descr(dtype),
                        "fortran_order": False,
                        "shape": (self.count, *shape),
                    },
                )
                part.seek(0)
                _add(archive, name, io.BytesIO(header.getvalue()), part)


FORMS: dict[str, Callable[[Path], PredictionFile]] = dict(
    zip(ENDINGS, (CSVFile, ParquetFile, NpzFile), strict=True)
)


def _flat(columns: Columns) -> dict[str, Array]:
    """Those that a table can hold."""
    return {name: column for name, column in columns.items() if column.ndim == 1}


def _add(archive: zipfile.ZipFile, name: str, *parts: IO[bytes]) -> None:
    entry = zipfile.ZipInfo(f"{name}.npy", ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as member:
        for part in parts:
            shutil.copyfileobj(part, member)
