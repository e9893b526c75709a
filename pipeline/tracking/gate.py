"""The gate of `make promote`: whether a candidate is better than the champion, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import PromotionError
from pipeline.params import Gate
from pipeline.training.metrics import Metric


@dataclass(frozen=True)
class Version:
    """A version of a registered model, as the gate sees it.

    Attributes:
        name: as people call it.
        metrics: the final ones.
        test_data: digest of the images and labels that they were measured on.
    """

    name: str
    metrics: Mapping[str, float]
    test_data: str


def check(gate: Gate, metric: Metric, candidate: Version, champion: Version | None) -> str:
    """The figures by which `candidate` becomes champion.

    `metric` is the one that `gate` names.

    Raises:
        PromotionError: it does not; the text says what was found and what is expected.
    """
    value = _value(gate, candidate)
    if champion is None:
        return f"{gate.metric} {value:g}; there was none"
    rival = _value(gate, champion)
    if candidate.test_data != champion.test_data:
        raise PromotionError(
            f"{candidate.name} does not become champion: its test images and labels have digest "
            f"{candidate.test_data or 'none'}, those of {champion.name} "
            f"{champion.test_data or 'none'}, expected the same; `--to` makes it champion by hand"
        )
    figures = f"{gate.metric} {value:g} against {rival:g} of {champion.name}"
    gain = metric.gain(value, over=rival)
    if gain > 0 and gain >= gate.margin:
        return f"{figures}, better by {gain:g}"
    found = f"better by {gain:g}" if gain > 0 else f"worse by {-gain:g}" if gain else "the same"
    expected = f"better by at least {gate.margin:g}" if gate.margin else "better"
    raise PromotionError(
        f"{candidate.name} does not become champion: {figures} is {found}, expected {expected}"
    )


def _value(gate: Gate, version: Version) -> float:
    if gate.metric not in version.metrics:
        raise PromotionError(f"{version.name}: found no {gate.metric}, expected one")
    return version.metrics[gate.metric]
