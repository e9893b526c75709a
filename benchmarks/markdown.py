"""Tables in Markdown, and figures in three digits."""

from collections.abc import Iterator
from typing import Any


def table(rows: Iterator[tuple[str, ...]]) -> str:
    """The first of `rows` is the heading; all columns but the first are figures."""
    heading, *body = rows
    lines = [
        heading,
        tuple("---" if not column else "--:" for column in range(len(heading))),
        *body,
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(figures: dict[str, Any]) -> str:
    """Median, and least and greatest if they differ: "0.19 (0.18–0.20)"."""  # noqa: RUF002
    low, middle, high = (short(figures[key]) for key in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"  # noqa: RUF001 - a range


def short(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
