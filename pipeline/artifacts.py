"""The files that DVC tracks: written whole or not at all, and with the same bytes every time."""

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.tables import table

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

DECIMALS = 6  # of metrics and history: beyond float32's own precision for losses below 1
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `path` in one step when the block ends well.

    A reader, and a run after a crash, sees the earlier file or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Side by side, two stages may write the same record; each has a partial file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`."""
    with atomic(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with a newline at its end."""
    write_bytes(path, (text.rstrip("\n") + "\n").encode())


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write `array` in NumPy's `.npy` format, which can be memory-mapped."""
    with atomic(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics` as JSON, floats rounded to `DECIMALS`, in the order given."""
    rounded = {key: _rounded(value) for key, value in metrics.items()}
    write_text(path, json.dumps(rounded, indent=2, allow_nan=False))


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
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


def read_history(path: Path) -> list[dict[str, float]]:
    """What `write_history` wrote."""
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def write_figure(path: Path, figure: "Figure") -> None:
    """Write `figure` as a PNG without the metadata that names versions."""
    with atomic(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})


def write_model(path: Path, model: "keras.Model") -> None:
    """Write `model` as a `.keras` file, and its structure as text beside it.

    Keras stamps the archive and its metadata with the time of saving, and numbers shared objects
    by their address in memory. So the archive is written anew: the same entries, sorted,
    uncompressed, without times, numbers from 0 on.
    """
    with atomic(path) as partial:
        saved = partial.with_suffix(".keras")
        try:
            model.save(saved)
            _normalise(saved, partial)
        finally:
            saved.unlink(missing_ok=True)
    write_text(path.with_suffix(".txt"), structure(model))


def structure(model: "keras.Model") -> str:
    """The layers of `model` with their output shapes and parameter counts, and the total.

    Keras's own summary draws with other characters by locale.
    """
    rows = [("layer", "type", "output", "parameters")]
    for layer in model.layers:
        shape = " x ".join(map(str, layer.output.shape[1:]))
        rows.append((layer.name, type(layer).__name__, shape, f"{layer.count_params():,}"))
    return table([*rows, ("total", "", "", f"{model.count_params():,}")], left=2)


def _normalise(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as normal:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": ""}).encode()
            if name == "config.json":
                content = _renumbered(content)
            normal.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)


def _renumbered(config: bytes) -> bytes:
    """Shared objects numbered in order of appearance; equal numbers stay equal."""
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda match: match[1] + b"%d" % numbers.setdefault(match[2], len(numbers)),
        config,
    )


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value
