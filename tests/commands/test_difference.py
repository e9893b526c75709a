"""Differences are found where they are, and measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.outs import artifacts
from pipeline.verification.difference import ROWS, largest_difference


def test_an_array_differs_by_its_largest_gap(tmp_path: Path) -> None:
    artifacts.write_array(tmp_path / "a.npy", np.array([1.0, 2.0, np.nan]))
    artifacts.write_array(tmp_path / "b.npy", np.array([1.5, 1.75, np.nan]))
    assert largest_difference(tmp_path / "a.npy", tmp_path / "b.npy") == 0.5


def test_the_largest_gap_of_an_array_may_be_in_its_last_row(tmp_path: Path) -> None:
    images = np.zeros((2 * ROWS + 1, 4), np.uint8)
    artifacts.write_array(tmp_path / "a.npy", images)
    images[-1, -1] = 255
    artifacts.write_array(tmp_path / "b.npy", images)
    assert largest_difference(tmp_path / "a.npy", tmp_path / "b.npy") == 255


def test_names_can_t_be_paired(tmp_path: Path) -> None:
    artifacts.write_array(tmp_path / "a.npy", np.array(["cat", "dog"]))
    artifacts.write_array(tmp_path / "b.npy", np.array(["cat", "dot"]))
    assert largest_difference(tmp_path / "a.npy", tmp_path / "b.npy") == np.inf


def test_arrays_of_other_shape_can_t_be_paired(tmp_path: Path) -> None:
    artifacts.write_array(tmp_path / "a.npy", np.zeros(3))
    artifacts.write_array(tmp_path / "b.npy", np.zeros(4))
    assert largest_difference(tmp_path / "a.npy", tmp_path / "b.npy") == np.inf


@pytest.mark.parametrize(
    ("ours", "theirs", "gap"),
    [
        ({"loss": 0.5, "epochs": 3}, {"loss": 0.25, "epochs": 3}, 0.25),
        ({"reached": None}, {"reached": 26}, np.inf),
        ({"reached": None}, {"reached": None}, 0.0),
        ({"counts": [1, 2]}, {"counts": [1, 4]}, 2.0),
        ({"loss": 0.5}, {"other": 0.5}, np.inf),
    ],
)
def test_metrics_differ_key_by_key(
    tmp_path: Path, ours: dict[str, object], theirs: dict[str, object], gap: float
) -> None:
    for name, metrics in (("a.json", ours), ("b.json", theirs)):
        (tmp_path / name).write_text(json.dumps(metrics))
    assert largest_difference(tmp_path / "a.json", tmp_path / "b.json") == gap


def test_histories_differ_row_by_row_and_need_as_many(tmp_path: Path) -> None:
    rows = [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.4}]
    artifacts.write_history(tmp_path / "a.csv", rows)
    artifacts.write_history(tmp_path / "b.csv", [rows[0], {"epoch": 2.0, "loss": 0.3}])
    artifacts.write_history(tmp_path / "c.csv", rows[:1])
    near = largest_difference(tmp_path / "a.csv", tmp_path / "b.csv")
    assert near == pytest.approx(0.1)
    assert largest_difference(tmp_path / "a.csv", tmp_path / "c.csv") == np.inf


def test_figures_differ_by_their_pixels(tmp_path: Path) -> None:
    for name, colour in (("a.png", "white"), ("b.png", "black")):
        artifacts.write_figure(tmp_path / name, Figure(figsize=(1, 1), facecolor=colour))
    assert largest_difference(tmp_path / "a.png", tmp_path / "b.png") == 255


def test_a_damaged_file_can_t_be_paired(tmp_path: Path) -> None:
    artifacts.write_array(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    assert largest_difference(tmp_path / "a.npy", tmp_path / "b.npy") == np.inf
