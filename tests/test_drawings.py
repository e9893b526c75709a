"""Figures drawn in processes: the same bytes, and the same errors, as drawn here."""

from collections.abc import Callable
from functools import partial

import pytest
from matplotlib.figure import Figure

from pipeline import artifacts
from pipeline.errors import DataError
from pipeline.figures import neuron, style
from pipeline.figures.drawings import Drawings


def refused(reason: str) -> Figure:
    """No figure."""
    raise DataError(reason)


def test_a_figure_drawn_beside_is_the_one_drawn_here() -> None:
    weights: list[list[float]] = [[1.0], [1.0, 5.0, 0.2], [2.0], [0.5]]
    draw: list[Callable[[], Figure]] = [partial(neuron.relu_neuron, each) for each in weights]
    with style.applied(usetex=False), Drawings() as drawings:
        for number, figure in enumerate(draw):
            drawings.add(str(number), figure)
        finished = drawings.finished()
        assert finished == {str(n): artifacts.png(figure()) for n, figure in enumerate(draw)}
    assert len(set(finished.values())) == len(weights)


def test_what_drawing_a_figure_raises_is_raised() -> None:
    with Drawings() as drawings:
        drawings.add("refused", refused, "found no images")
        with pytest.raises(DataError, match="found no images"):
            drawings.finished()
