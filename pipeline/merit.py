"""Which way a metric is better: `compare` marks the best by it, `promote` judges by it."""

from collections.abc import Iterable

from pipeline.artifacts import DECIMALS

HIGHER = frozenset({"train_accuracy", "test_accuracy", "test_psnr", "test_ssim", "probe_accuracy"})
LOWER = frozenset({"train_loss", "test_loss", "test_bce", "test_mse", "epochs_to_target"})


def gain(metric: str, value: float, over: float) -> float:
    """By how much `value` is better than `over`, in the metric's own unit; below 0 it is worse.

    Raises:
        KeyError: `metric` has no better direction.
    """
    if metric not in HIGHER | LOWER:
        raise KeyError(metric)
    # Metrics are kept to so many decimals: 0.935 - 0.934 shall be 0.001, not a bit less.
    return round(value - over if metric in HIGHER else over - value, DECIMALS)


def best(metric: str, values: Iterable[float]) -> float | None:
    """The best of `values`; None for a metric without a better direction, a size say."""
    if metric in HIGHER:
        return max(values, default=None)
    if metric in LOWER:
        return min(values, default=None)
    return None
