"""What an autoencoder's error costs: numbers in the code, and seconds of training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox

from pipeline.figures import style

MARKERS = "osD^vP"
Looks = dict[str, tuple[str, str]]  # by title: a colour and a marker
PLACES = [(5, 4, "left"), (0, 7, "center"), (-7, -4, "right"), (0, -15, "center")]  # in points


@dataclass(frozen=True)
class Point:
    """A trained autoencoder.

    Attributes:
        title: what the model is called: dense autoencoder.
        code_size: numbers in its code.
        error: binary cross-entropy on test images.
        seconds: that its training took; None if nobody measured.
    """

    title: str
    code_size: float
    error: float
    seconds: float | None


def rate_distortion(points: Sequence[Point]) -> Figure:
    """Held-out error against code size and against training time, a mark a run."""
    figure = Figure(figsize=(11, 5.2))
    by_size, by_time = figure.subplots(1, 2, sharey=True)
    timed = [point for point in points if point.seconds]
    looks = _looks(points)
    for title, (colour, marker) in looks.items():
        own = [point for point in points if point.title == title]
        marks = {"ls": "", "marker": marker, "ms": 6, "color": colour, "alpha": 0.8}
        frontier = _frontier(own)
        by_size.plot(*_coordinates(frontier), color=colour, lw=1.2, alpha=0.6)
        by_size.plot(*_coordinates(own), label=title, **marks)
        by_time.plot(*_times(point for point in own if point.seconds), **marks)

    by_size.set(xscale="log", xlabel="numbers in the code (log scale)")
    by_size.xaxis.set_major_formatter(LogFormatter())
    by_size.set_ylabel("binary cross-entropy, test images")
    by_time.set_xlabel("seconds of training")
    by_size.set_title("By size of the code; the line joins the best of each size")
    by_time.set_title("By time; beside a mark, the size of its code")
    for axes in (by_size, by_time):
        axes.margins(0.12, 0.14)
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
    if not timed:
        note = "no run here was timed:\nonly trainings that MLflow watched are"
        by_time.text(*(0.5, 0.5, note), ha="center", color=style.QUIET, transform=by_time.transAxes)
        by_time.set_xticks([])
    figure.legend(loc="outside lower center", ncols=len(looks))
    figure.suptitle("How much an autoencoder loses, and what less loss costs")
    _label(figure, by_size, [(p.code_size, p.error, p) for p in _best_of_each(points)], looks)
    _label(figure, by_time, [(p.seconds or 0, p.error, p) for p in timed], looks)
    return figure


def _looks(points: Iterable[Point]) -> Looks:
    """A colour and a marker for each title, in the order in which they come."""
    titles = dict.fromkeys(point.title for point in points)
    return dict(zip(titles, zip(cycle(style.MODELS), cycle(MARKERS)), strict=False))


def _frontier(points: Iterable[Point]) -> list[Point]:
    """The best of each code size, by size."""
    best: dict[float, Point] = {}
    for point in points:
        rival = best.get(point.code_size)
        if rival is None or point.error < rival.error:
            best[point.code_size] = point
    return [best[size] for size in sorted(best)]


def _best_of_each(points: Sequence[Point]) -> list[Point]:
    return [
        point
        for title in _looks(points)
        for point in _frontier(other for other in points if other.title == title)
    ]


def _coordinates(points: Iterable[Point]) -> tuple[list[float], list[float]]:
    pairs = [(point.code_size, point.error) for point in points]
    return [size for size, _ in pairs], [error for _, error in pairs]


def _times(points: Iterable[Point]) -> tuple[list[float], list[float]]:
    pairs = [(point.seconds or 0, point.error) for point in points]
    return [seconds for seconds, _ in pairs], [error for _, error in pairs]


def _label(
    figure: Figure, axes: Axes, marks: Sequence[tuple[float, float, Point]], looks: Looks
) -> None:
    """Write the code size beside each mark, where no other mark or label is; else leave it out."""
    figure.draw_without_rendering()  # settles the layout, and with it where things are
    at = axes.transData.transform
    pixel = figure.dpi / 72
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in (at(mark[:2]) for mark in marks)]
    frame = axes.get_window_extent()
    for x, y, point in marks:
        for right, up, side in PLACES:
            text = axes.annotate(
                f"{point.code_size:,.0f}",
                (x, y),
                xytext=(right, up),
                textcoords="offset points",
                ha=side,
                fontsize=9,
                color=looks[point.title][0],
            )
            box = text.get_window_extent()
            inside = (
                frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 < box.y1 < frame.y1
            )
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box.padded(pixel))
                break
            text.remove()
