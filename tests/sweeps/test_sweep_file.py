"""A sweep file is checked key by key before any work, and a grid is every combination."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.errors import ParamsError
from pipeline.outs import paths
from pipeline.sweeps import sweep_file

ROOT = Path(__file__).parents[2]
DOCUMENT = params.read(ROOT / params.PARAMS)
COMMITTED = params.read(ROOT / paths.SWEEP_FILE)
UNITS, RATE = "train_dense_ae.code_units", "train_dense_ae.optimizer.adadelta.learning_rate"


def load(tmp_path: Path, **changes: Any) -> sweep_file.SweepFile:
    path = tmp_path / "sweep.yaml"
    YAML().dump({**COMMITTED, **changes}, path)
    return sweep_file.load(path, DOCUMENT)


def test_the_committed_sweep_has_twelve_points_no_two_alike(tmp_path: Path) -> None:
    points = sweep_file.grid(load(tmp_path))
    assert len(points) == len({tuple(point.items()) for point in points}) == 12
    assert all(list(point) == [UNITS, RATE] for point in points)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stage": "visualize"}, "stage: found 'visualize', expected one of train_classifier, "),
        ({"trails": 12}, "trails: unknown key; did you mean 'trials'?"),
        ({"trials": 11}, "trials: found 11, expected 12, the points of the grid"),
        ({"metric": "test_accuracy"}, "metric: found 'test_accuracy', expected one of "),
        ({"early_stopping": True}, "metric: found 'test_bce', expected one of test_loss, measured"),
        ({"params": {"train_dense_ae.epoch": 5}}, "did you mean 'train_dense_ae.epochs'?"),
        ({"params": {"train_conv_ae.epochs": 5}}, "no param of train_dense_ae; did you mean"),
        ({"params": {"runtime.threads": 2}}, "params.runtime.threads: no param of train_dense_ae"),
        ({"params": {UNITS: 5}}, f"{UNITS}: found in params and in search"),
        ({"params": {"seed": -1}}, "params: seed: found -1, expected greater than or equal to 0"),
        ({"search": {}}, "search: found {}, expected"),
        ({"search": {UNITS: {"choices": [8, 0]}}, "trials": 2}, f"search: {UNITS}: found 0, "),
        ({"search": {UNITS: {"choices": [8, 0.5]}}, "trials": 2}, f"search: {UNITS}: found 0.5, "),
        ({"search": {UNITS: {"choice": [8]}}}, f"{UNITS}.choice: unknown key; did you mean 'choi"),
        ({"search": {UNITS: {}}}, f"search.{UNITS}: found nothing, expected one of choices, unif"),
        ({"search": {RATE: {"uniform": [2.0, 1.0]}}}, f"search.{RATE}: found 2.0 to 1.0, expected"),
        ({"search": {RATE: {"loguniform": [0.0, 1.0]}}}, "found 0.0 to 1.0, expected a range"),
        ({"search": {RATE: {"uniform": [0.1, 1.0]}}}, f"search.{RATE}: found a range, expected ch"),
        (
            {"searcher": "optuna", "search": {RATE: {"uniform": [-1.0, 1.0]}}},
            f"search: {RATE}: found -1.0, expected greater than 0",
        ),
        (
            {
                "searcher": "optuna",
                "metric": "test_loss",
                "early_stopping": True,
                "params": {},
                "search": {"train_dense_ae.epochs": {"integers": [1, 5]}},
            },
            "search: found epochs, expected none with early_stopping",
        ),
    ],
)
def test_a_fault_is_told_with_file_key_found_and_expected(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ParamsError) as raised:
        load(tmp_path, **changes)
    line = str(raised.value).splitlines()[0]
    assert line.startswith(f"{tmp_path / 'sweep.yaml'}: ")
    assert told in line


def test_what_is_drawn_from_a_range_has_few_digits_and_stays_in_it(tmp_path: Path) -> None:
    search = {RATE: {"uniform": [0.12345, 0.99999]}, UNITS: {"integers": [4, 70000]}}
    sweep = load(tmp_path, searcher="optuna", search=search)
    assert sweep_file.point(sweep, {RATE: 0.456789012, UNITS: 69999}) == {
        RATE: 0.4568,
        UNITS: 69999,
    }
    assert sweep_file.point(sweep, {RATE: 0.999988}) == {RATE: 0.99999}
    assert sweep_file.point(sweep, {RATE: 0.123452}) == {RATE: 0.1235}
    assert sweep_file.point(sweep, {RATE: 0.12345}) == {RATE: 0.1235}


def test_a_choice_is_taken_as_it_is_written(tmp_path: Path) -> None:
    sweep = load(tmp_path, search={RATE: {"choices": [0.123456789]}}, trials=1)
    assert sweep_file.grid(sweep) == [{RATE: 0.123456789}]
    assert sweep_file.point(sweep, sweep_file.grid(sweep)[0]) == {RATE: 0.123456789}
