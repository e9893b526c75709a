"""The metrics that a training can declare: which way each is better, and where it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.outs.artifacts import DECIMALS


@dataclass(frozen=True)
class Metric:
    """A final figure of a training, one of data/metrics.

    Attributes:
        name: its key there.
        better: which way it is better; None for a size, which has no such way.
        held_out: measured on held-out images, so that it can decide which model is champion.
        every_epoch: a column of the history too, so that a sweep can stop a trial early by it.
        whole: a count.
    """

    name: str
    better: Literal["higher", "lower"] | None = None
    held_out: bool = False
    every_epoch: bool = False
    whole: bool = False

    def gain(self, value: float, over: float) -> float:
        """By how much `value` is better than `over`, in the metric's own unit; below 0, worse."""
        # Metrics are kept to so many decimals: 0.935 - 0.934 shall be 0.001, not a bit less.
        return round(value - over if self.better == "higher" else over - value, DECIMALS)

    def best(self, values: Iterable[float]) -> float | None:
        """The best of `values`; None for a size, or if there are none."""
        match self.better:
            case "higher":
                return max(values, default=None)
            case "lower":
                return min(values, default=None)
        return None


TEST_LOSS = Metric("test_loss", "lower", held_out=True, every_epoch=True)  # of every history
PARAMETERS, EPOCHS = Metric("parameters", whole=True), Metric("epochs", whole=True)

CLASSIFIER = (
    Metric("train_loss", "lower"),
    Metric("train_accuracy", "higher"),
    TEST_LOSS,
    Metric("test_accuracy", "higher", held_out=True, every_epoch=True),
    Metric("epochs_to_target", "lower", whole=True),
    PARAMETERS,
    EPOCHS,
)
AUTOENCODER = (
    Metric("train_loss", "lower"),
    Metric("test_bce", "lower", held_out=True),
    Metric("test_mse", "lower", held_out=True),
    Metric("test_psnr", "higher", held_out=True),
    Metric("test_ssim", "higher", held_out=True),
    Metric("probe_accuracy", "higher", held_out=True),
    PARAMETERS,
    Metric("code_size", whole=True),
    Metric("compression"),
    EPOCHS,
)
