"""Which way each metric is better."""

import pytest

from pipeline.training.declaration import trainings
from pipeline.training.metrics import AUTOENCODER, CLASSIFIER, Metric

ALL = (*CLASSIFIER, *AUTOENCODER)
HIGHER = sorted({metric for metric in ALL if metric.better == "higher"}, key=lambda one: one.name)
LOWER = sorted({metric for metric in ALL if metric.better == "lower"}, key=lambda one: one.name)


def test_a_metric_that_two_kinds_of_model_have_is_the_same_in_both() -> None:
    names = [metric.name for metric in {*ALL}]
    assert len(names) == len({*names})


def test_every_metric_that_a_gate_can_name_has_a_better_direction() -> None:
    decisive = [metric for metric in ALL if metric.held_out]
    assert decisive
    assert all(metric.better for metric in decisive)


def test_every_training_is_judged_by_a_held_out_metric_of_its_own() -> None:
    for training in trainings().values():
        assert training.metric(training.gate).held_out


@pytest.mark.parametrize("metric", HIGHER, ids=lambda metric: metric.name)
def test_more_is_a_gain_where_higher_is_better(metric: Metric) -> None:
    assert metric.gain(0.935, over=0.934) == 0.001  # and not 0.0010000000000000009
    assert metric.best([0.934, 0.935]) == 0.935


@pytest.mark.parametrize("metric", LOWER, ids=lambda metric: metric.name)
def test_less_is_a_gain_where_lower_is_better(metric: Metric) -> None:
    assert metric.gain(0.0758, over=0.0751) == -0.0007
    assert metric.best([0.0758, 0.0751]) == 0.0751


def test_a_size_has_no_best() -> None:
    size = trainings()["train_dense_ae"].metric("code_size")
    assert size.best([3136, 100]) is None
