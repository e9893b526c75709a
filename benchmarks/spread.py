"""Repeated measurements in three numbers."""

from collections.abc import Sequence
from statistics import median

Spread = dict[str, float]
DIGITS = 6  # after the point: microseconds


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of `values`."""
    return {
        "median": round(median(values), DIGITS),
        "min": round(min(values), DIGITS),
        "max": round(max(values), DIGITS),
    }


def ratios(values: Sequence[float], others: Sequence[float]) -> Spread:
    """Of each value to the one of `others` from the same repetition."""
    return spread([value / other for value, other in zip(values, others, strict=True)])
