"""Which way each metric is better."""

from typing import Any, get_args

import pytest

from pipeline import merit
from pipeline.params import AutoencoderGate, ClassifierGate

GATES: list[Any] = [ClassifierGate, AutoencoderGate]


def test_no_metric_is_better_both_ways() -> None:
    assert merit.HIGHER.isdisjoint(merit.LOWER)


def test_every_metric_that_a_gate_can_name_has_a_better_direction() -> None:
    for gate in GATES:
        metrics = get_args(gate.model_fields["metric"].annotation)
        assert metrics
        assert set(metrics) <= merit.HIGHER | merit.LOWER


@pytest.mark.parametrize("metric", sorted(merit.HIGHER))
def test_more_is_a_gain_where_higher_is_better(metric: str) -> None:
    assert merit.gain(metric, 0.935, over=0.934) == 0.001  # and not 0.0010000000000000009
    assert merit.best(metric, [0.934, 0.935]) == 0.935


@pytest.mark.parametrize("metric", sorted(merit.LOWER))
def test_less_is_a_gain_where_lower_is_better(metric: str) -> None:
    assert merit.gain(metric, 0.0758, over=0.0751) == -0.0007
    assert merit.best(metric, [0.0758, 0.0751]) == 0.0751


def test_a_size_has_no_best() -> None:
    assert merit.best("code_size", [3136, 100]) is None
    with pytest.raises(KeyError):
        merit.gain("code_size", 3136, over=100)
