"""Which way each metric is better."""

from typing import Any, get_args

import pytest

from pipeline.params import AutoencoderGate, ClassifierGate
from pipeline.training import metrics

GATES: list[Any] = [ClassifierGate, AutoencoderGate]


def test_no_metric_is_better_both_ways() -> None:
    assert metrics.HIGHER.isdisjoint(metrics.LOWER)


def test_every_metric_that_a_gate_can_name_has_a_better_direction() -> None:
    for gate in GATES:
        metrics = get_args(gate.model_fields["metric"].annotation)
        assert metrics
        assert set(metrics) <= metrics.HIGHER | metrics.LOWER


@pytest.mark.parametrize("metric", sorted(metrics.HIGHER))
def test_more_is_a_gain_where_higher_is_better(metric: str) -> None:
    assert metrics.gain(metric, 0.935, over=0.934) == 0.001  # and not 0.0010000000000000009
    assert metrics.best(metric, [0.934, 0.935]) == 0.935


@pytest.mark.parametrize("metric", sorted(metrics.LOWER))
def test_less_is_a_gain_where_lower_is_better(metric: str) -> None:
    assert metrics.gain(metric, 0.0758, over=0.0751) == -0.0007
    assert metrics.best(metric, [0.0758, 0.0751]) == 0.0751


def test_a_size_has_no_best() -> None:
    assert metrics.best("code_size", [3136, 100]) is None
    with pytest.raises(KeyError):
        metrics.gain("code_size", 3136, over=100)
