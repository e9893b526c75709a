"""The files that DVC tracks: whole or not at all, and the same bytes every time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.outs import artifacts

HISTORY = [
    {"epoch": 1, "loss": 0.5, "test_loss": 0.625},
    {"epoch": 2, "loss": 0.25, "test_loss": 0.375},
]


def _figure() -> Figure:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([0, 1, 4, 9], label=r"$x^2$")
    axes.legend()
    return figure


WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: artifacts.write_bytes(path, b"\x00\xff"),
    "text": lambda path: artifacts.write_text(path, "Θ = 1"),
    "array": lambda path: artifacts.write_array(path, np.arange(6).reshape(2, 3).T),
    "metrics": lambda path: artifacts.write_metrics(path, {"loss": 0.1, "epochs": 3}),
    "history": lambda path: artifacts.write_history(path, HISTORY),
    "figure": lambda path: artifacts.write_figure(path, _figure()),
}
REFUSED: dict[str, Callable[[Path], None]] = {
    "not a number in metrics": lambda path: artifacts.write_metrics(path, {"loss": float("nan")}),
    "infinity in metrics": lambda path: artifacts.write_metrics(path, {"loss": float("inf")}),
    "array of objects": lambda path: artifacts.write_array(path, np.array([{}, None])),
    "column that only a later row has": lambda path: artifacts.write_history(
        path, [{"epoch": 1}, {"epoch": 2, "loss": 0.5}]
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_the_same_content_gives_the_same_bytes(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    first, second = tmp_path / "first" / "out", tmp_path / "second" / "out"
    write(first)
    write(second)
    write(second)
    assert first.read_bytes() == second.read_bytes() != b""


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_written_file_lies_alone_in_its_new_folder(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "new" / "folder" / "out"
    write(path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_the_earlier_file(path: Path, write: Callable[[Path], None]) -> None:
    path.write_text("earlier")
    with pytest.raises(ValueError):  # noqa: PT011 - the words are those of json, csv and NumPy
        write(path)
    assert path.read_text() == "earlier"
    assert list(path.parent.iterdir()) == [path]


def _write_until(interruption: type[BaseException], path: Path) -> None:
    with artifacts.atomic(path) as partial:
        partial.write_text("half of the ne")
        raise interruption


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_earlier_file_alone(
    path: Path, interruption: type[BaseException]
) -> None:
    path.write_text("earlier")
    with pytest.raises(interruption):
        _write_until(interruption, path)
    assert path.read_text() == "earlier"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_first_write_leaves_nothing(path: Path) -> None:
    with pytest.raises(RuntimeError):
        _write_until(RuntimeError, path)
    assert list(path.parent.iterdir()) == []


def test_a_file_keeps_its_earlier_content_until_the_new_is_whole(path: Path) -> None:
    path.write_text("earlier")
    with artifacts.atomic(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "earlier"
        assert partial.parent == path.parent  # a rename across file systems would be a copy
    assert path.read_text() == "new"


@pytest.mark.parametrize("text", ["Θ", "Θ\n", "Θ\n\n"])
def test_text_is_utf_8_with_one_newline_at_its_end(path: Path, text: str) -> None:
    artifacts.write_text(path, text)
    assert path.read_bytes() == b"\xce\x98\n"


def test_an_array_can_be_memory_mapped(path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(0, 2, 1)
    artifacts.write_array(path, array)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == np.uint8
    np.testing.assert_array_equal(mapped, array)


def test_metrics_are_rounded_and_keep_their_order_and_kind(path: Path) -> None:
    metrics: dict[str, Any] = {
        "loss": 0.123456789,
        "epochs": 30,
        "best": None,
        "by_class": {"3": 7},
    }
    artifacts.write_metrics(path, metrics)
    read = artifacts.read_metrics(path)
    assert read == metrics | {"loss": 0.123457}
    assert list(read) == list(metrics)
    assert isinstance(read["epochs"], int)
    assert path.read_text() == json.dumps(read, indent=2) + "\n"


def test_history_round_trips_with_its_columns_in_order(path: Path) -> None:
    artifacts.write_history(path, HISTORY)
    assert artifacts.read_history(path) == HISTORY
    assert path.read_text() == "epoch,loss,test_loss\n1,0.5,0.625\n2,0.25,0.375\n"


def test_history_is_rounded(path: Path) -> None:
    artifacts.write_history(path, [{"epoch": 1, "loss": 2 / 3}])
    assert artifacts.read_history(path) == [{"epoch": 1, "loss": 0.666667}]


def test_a_figure_is_a_png_that_names_no_version(path: Path) -> None:
    artifacts.write_figure(path, _figure())
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert b"Software" not in content
