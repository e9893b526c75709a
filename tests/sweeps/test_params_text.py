"""params.yaml is changed where it is asked to, and nowhere else."""

import difflib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import PARAMS, with_values
from pipeline.sweeps import params_text

TEXT = (Path(__file__).parents[2] / PARAMS).read_text()


@pytest.mark.parametrize(
    "point",
    [
        {"train_dense_ae.code_units": 32},
        {"train_dense_ae.optimizer.adadelta.learning_rate": 1e-05, "seed": 7},
        {
            "train_classifier.optimizer.sgd.nesterov": True,
            "train_classifier.optimizer.sgd.momentum": 0.9,
        },
        {"probe.optimizer.adam.epsilon": 0.1234, "probe.epochs": 1, "probe.optimizer.name": "adam"},
    ],
)
def test_the_values_differ_and_no_other_character(point: dict[str, Any]) -> None:
    changed = params_text.changed(TEXT, point)
    yaml = YAML(typ="safe")
    assert yaml.load(changed) == with_values(yaml.load(TEXT), point)
    lines = list(difflib.ndiff(TEXT.splitlines(), changed.splitlines()))
    new = {line[2:].partition("#")[2] for line in lines if line.startswith("+ ")}
    old = {line[2:].partition("#")[2] for line in lines if line.startswith("- ")}
    assert new == old  # comments
    assert len(changed.splitlines()) == len(TEXT.splitlines())


def test_with_the_values_that_it_has_nothing_changes() -> None:
    point = {
        "train_dense_ae.code_units": 100,
        "train_conv_ae.optimizer.adadelta.learning_rate": 1.0,
    }
    assert params_text.changed(TEXT, point) == TEXT
