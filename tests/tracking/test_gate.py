"""Who becomes champion, and what is said of it."""

from dataclasses import replace

import pytest

from pipeline.errors import PromotionError
from pipeline.params import Gate
from pipeline.tracking import gate
from pipeline.tracking.gate import Version
from pipeline.training.metrics import AUTOENCODER, CLASSIFIER

TEST_DATA = "1f"
CHAMPION = Version("version 1", {"test_accuracy": 0.9333, "test_bce": 0.0758}, TEST_DATA)
METRICS = {metric.name: metric for metric in (*CLASSIFIER, *AUTOENCODER)}
ACCURACY = Gate(metric="test_accuracy", margin=0.001)
BCE = Gate(metric="test_bce", margin=0.0001)


def _candidate(**metrics: float) -> Version:
    return Version("version 2", metrics, TEST_DATA)


def _check(chosen: Gate, candidate: Version, champion: Version | None) -> str:
    return gate.check(chosen, METRICS[chosen.metric], candidate, champion)


def test_the_first_one_becomes_champion() -> None:
    assert _check(ACCURACY, CHAMPION, None) == "test_accuracy 0.9333; there was none"


@pytest.mark.parametrize(
    ("chosen", "metrics", "told"),
    [
        (
            ACCURACY,
            {"test_accuracy": 0.9343},
            "0.9343 against 0.9333 of version 1, better by 0.001",
        ),
        (BCE, {"test_bce": 0.0757}, "0.0757 against 0.0758 of version 1, better by 0.0001"),
    ],
)
def test_one_that_is_better_by_just_the_margin_becomes_champion(
    chosen: Gate, metrics: dict[str, float], told: str
) -> None:
    assert _check(chosen, _candidate(**metrics), CHAMPION) == f"{chosen.metric} {told}"


@pytest.mark.parametrize(
    ("chosen", "metrics", "told"),
    [
        (
            ACCURACY,
            {"test_accuracy": 0.9342},
            "0.9342 against 0.9333 of version 1 is better by 0.0009",
        ),
        (ACCURACY, {"test_accuracy": 0.9333}, "0.9333 against 0.9333 of version 1 is the same"),
        (ACCURACY, {"test_accuracy": 0.9}, "0.9 against 0.9333 of version 1 is worse by 0.0333"),
        (BCE, {"test_bce": 0.0759}, "0.0759 against 0.0758 of version 1 is worse by 0.0001"),
    ],
)
def test_any_other_is_refused_with_both_figures_and_the_margin(
    chosen: Gate, metrics: dict[str, float], told: str
) -> None:
    with pytest.raises(PromotionError) as caught:
        _check(chosen, _candidate(**metrics), CHAMPION)
    assert str(caught.value) == (
        f"version 2 does not become champion: {chosen.metric} {told}, "
        f"expected better by at least {chosen.margin:g}"
    )


def test_without_a_margin_the_same_is_not_better() -> None:
    with pytest.raises(PromotionError, match=r"is the same, expected better$"):
        _check(
            ACCURACY.model_copy(update={"margin": 0.0}), _candidate(test_accuracy=0.9333), CHAMPION
        )


def test_what_was_measured_on_other_test_data_is_refused_however_good() -> None:
    with pytest.raises(PromotionError) as caught:
        _check(ACCURACY, replace(_candidate(test_accuracy=1.0), test_data="2f"), CHAMPION)
    assert str(caught.value) == (
        "version 2 does not become champion: its test images and labels have digest 2f, "
        "those of version 1 1f, expected the same; `--to` makes it champion by hand"
    )


def test_a_version_without_the_gate_s_metric_is_named() -> None:
    with pytest.raises(PromotionError, match=r"^version 1: found no test_loss, expected one$"):
        _check(Gate(metric="test_loss", margin=0.0), _candidate(test_loss=0.2), CHAMPION)
