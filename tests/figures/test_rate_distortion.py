"""The figure of error against code size and against time."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pipeline.figures import rate_distortion, style
from pipeline.figures.rate_distortion import Point

SWEEP = [
    *(Point("dense", size, 0.3 / size**0.3, 40 + size / 9) for size in (4, 8, 16, 32, 64, 100)),
    *(Point("dense", 100, 0.0758, seconds) for seconds in (45, 46, 47, 48)),
    Point("conv", 3136, 0.0629, 45),
]


def _drawn(points: list[Point]) -> Figure:
    with style.applied(usetex=False):
        figure = rate_distortion.rate_distortion(points)
        figure.draw_without_rendering()
    return figure


def _marks(axes: Axes) -> int:
    marked = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    return sum(np.asarray(line.get_xdata()).size for line in marked)


def _labels(figure: Figure, axes: int) -> list[Annotation]:
    found = figure.axes[axes].get_children()
    return [child for child in found if isinstance(child, Annotation)]


def test_no_label_lies_on_another() -> None:
    figure = _drawn(SWEEP)
    for axes in (0, 1):
        boxes = [label.get_window_extent() for label in _labels(figure, axes)]
        assert boxes
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_each_code_size_is_named_where_the_codes_are_sized() -> None:
    names = [label.get_text() for label in _labels(_drawn(SWEEP), 0)]
    assert sorted(names) == sorted(["4", "8", "16", "32", "64", "100", "3,136"])


def test_code_sizes_are_on_a_log_axis_and_times_on_a_plain_one() -> None:
    by_size, by_time = _drawn(SWEEP).axes
    assert (by_size.get_xscale(), by_time.get_xscale()) == ("log", "linear")


def test_each_autoencoder_has_a_colour_and_a_marker() -> None:
    lines = [line for line in _drawn(SWEEP).axes[0].lines if line.get_marker() not in ("", "None")]
    looks = {(to_hex(str(line.get_color())), line.get_marker()) for line in lines}
    assert looks == {(style.MODELS[0], "o"), (style.MODELS[1], "s")}


def test_the_line_joins_the_best_of_each_size() -> None:
    worse = Point("dense", 16, 0.5, 10)
    sizes, errors = np.asarray(_drawn([*SWEEP, worse]).axes[0].lines[0].get_data())
    assert sizes.tolist() == [4, 8, 16, 32, 64, 100]
    assert errors.max() < 0.5


@pytest.mark.parametrize("seconds", [None, 12.0])
def test_a_run_that_nobody_timed_is_left_out_of_the_times_alone(seconds: float | None) -> None:
    figure = _drawn([Point("dense", 100, 0.0758, None), Point("conv", 3136, 0.0629, seconds)])
    by_size, by_time = figure.axes
    assert _marks(by_size) == 2
    assert _marks(by_time) == (0 if seconds is None else 1)
    assert any("timed" in text.get_text() for text in by_time.texts) == (seconds is None)
