"""Curves of a training as the lines and ticks of an SVG: geometry alone, the page draws it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from pipeline.outs.artifacts import Row

WIDTH, HEIGHT = 420, 250  # of the whole, in units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 10, 44  # around the plot
TICKS = 5  # at most, less one
HELD_OUT = "test_"  # what the columns of held-out images begin with


@dataclass(frozen=True)
class Tick:
    """A line across the plot, and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One column of one revision.

    Attributes:
        name: the column.
        revision: whose; empty where there is only one.
        style: what distinguishes it: 0 or 1 for images to train on or held out, then 2 more.
        points: as an SVG's polyline takes them.
        first: the value of the first epoch.
        last: that of the last one.
    """

    name: str
    revision: str
    style: int
    points: str
    first: float
    last: float


@dataclass(frozen=True)
class Chart:
    """The columns of one quantity, epoch by epoch: loss and test_loss, say."""

    title: str
    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]


def charts(histories: Mapping[str, Sequence[Row]]) -> Iterator[Chart]:
    """A chart for each quantity in `histories`: one a revision, the first of them drawn on top."""
    columns = {name: None for rows in histories.values() for name in rows[0] if name != "epoch"}
    for title in dict.fromkeys(name.removeprefix(HELD_OUT) for name in columns):
        names = [name for name in columns if name.removeprefix(HELD_OUT) == title]
        drawn = [
            (revision, 2 * number + name.startswith(HELD_OUT), name, _points(rows, name))
            for number, (revision, rows) in enumerate(histories.items())
            for name in names
            if name in rows[0]
        ]
        drawn = [each for each in drawn if each[-1]]
        if drawn:
            yield _chart(title, drawn)


def _points(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    found = [(row["epoch"], row[name]) for row in rows]
    return [point for point in found if all(map(math.isfinite, point))]


def _chart(title: str, drawn: list[tuple[str, int, str, list[tuple[float, float]]]]) -> Chart:
    every = [point for *_, points in drawn for point in points]
    epochs, values = zip(*every, strict=True)
    across = _Scale(epochs, LEFT, WIDTH - RIGHT, tight=True)
    up = _Scale(values, HEIGHT - BOTTOM, TOP)
    lines = [
        Line(
            name=name,
            revision=revision,
            style=style,
            points=" ".join(f"{across(epoch):.1f},{up(value):.1f}" for epoch, value in points),
            first=points[0][1],
            last=points[-1][1],
        )
        for revision, style, name, points in drawn
    ]
    return Chart(title, lines, across.ticks(), up.ticks())


class _Scale:
    """From values to places, `start` to `end`, with ticks at round values.

    Args:
        tight: end with the values themselves, which are whole numbers, and not with ticks around.
    """

    def __init__(
        self, values: Sequence[float], start: float, end: float, *, tight: bool = False
    ) -> None:
        locator = MaxNLocator(nbins=TICKS, integer=tight)
        self.values = [float(value) for value in locator.tick_values(min(values), max(values))]
        if tight:
            self.values = [value for value in self.values if min(values) <= value <= max(values)]
        bounds = values if tight else self.values
        self.least, self.spread = min(bounds), max(bounds) - min(bounds) or 1
        self.start, self.length = start, end - start

    def __call__(self, value: float) -> float:
        return self.start + (value - self.least) / self.spread * self.length

    def ticks(self) -> list[Tick]:
        return [Tick(round(self(value), 1), f"{value:.6g}") for value in self.values]
