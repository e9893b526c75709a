"""The files that DVC tracks: written whole or not at all, and with the same bytes every time."""

import csv
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import DataError, StorageError, UserError

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

Row = dict[str, float]  # of a history: the epoch, from 1, and its figures

DECIMALS = 6  # of metrics and history: beyond float32's own precision for losses below 1
FILE_TYPES = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `path` in one step when the block ends well.

    A reader, and a run after a crash, sees the earlier file or the whole new one.

    Raises:
        StorageError: the disk is full, say; the earlier file is still there.
    """
    # Side by side, two stages may write the same record; each has a partial file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except UserError:
        raise
    except Exception as error:
        fault = _storage_fault(error)
        if fault is None:
            raise
        raise StorageError(
            f"{path}: can't be written: {fault.strerror or fault}; "
            "nothing was half-written, and a file that was there is as it was"
        ) from None


def _storage_fault(error: BaseException | None) -> OSError | None:
    """The fault of the disk behind `error`: writers stumble when they close what they can't write.

    A full disk makes a `zipfile.ZipFile`, say, raise `ValueError` in the end.
    """
    while error:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed have left of `path`, partly written."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,7}})\.partial(\.keras)?")
    for file in path.parent.iterdir():
        name = pattern.fullmatch(file.name)
        if name and not _runs(int(name[1])):
            with suppress(OSError):  # another user's; it harms nothing
                file.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def open_file(path: Path) -> BinaryIO:
    """Open `path` to read it, if it is a file: a pipe would wait, and a device never end.

    Raises:
        DataError: it is something else; the text does not name it.
        OSError: it is missing, say.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        found = FILE_TYPES.get(stat.S_IFMT(mode), "a device")
        raise DataError(f"can't be read: found {found}, expected a file")
    return path.open("rb")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`."""
    with atomic(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with a newline at its end."""
    write_bytes(path, (text.rstrip("\n") + "\n").encode())


def write_array(path: Path, array: "npt.NDArray[Any]") -> None:
    """Write `array` in NumPy's `.npy` format, which can be memory-mapped."""
    import numpy as np

    with atomic(path) as partial, partial.open("wb") as file:
        # Given the file itself, NumPy writes in a way of its own, and can't say why it failed.
        np.save(SimpleNamespace(write=file.write), array, allow_pickle=False)


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics` as JSON, floats rounded to `DECIMALS`, in the order given."""
    rounded = {key: _rounded(value) for key, value in metrics.items()}
    write_text(path, json.dumps(rounded, indent=2, allow_nan=False))


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write one CSV row an epoch; the columns are those of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _rounded(value) for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def read_metrics(path: Path) -> dict[str, Any]:
    """What `write_metrics` wrote."""
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def read_history(path: Path) -> list[Row]:
    """What `write_history` wrote."""
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def write_figure(path: Path, figure: "Figure", title: str | None = None) -> None:
    """Write `figure` to `path` as a PNG, with `title` in its metadata."""
    write_bytes(path, png(figure, title))


def png(figure: "Figure", title: str | None = None) -> bytes:
    """`figure` as a PNG without the metadata that names versions."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None, "Title": title})
    return content.getvalue()


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value
