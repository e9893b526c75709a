"""Figures drawn in processes: the same bytes, and the same errors, as drawn here."""

import pytest
from matplotlib.figure import Figure

from pipeline.errors import DataError
from pipeline.figures import neuron, style
from pipeline.figures.pool import FigurePool
from pipeline.outs import artifacts


def refused(reason: str) -> Figure:
    """No figure."""
    raise DataError(reason)


def test_a_figure_drawn_beside_is_the_one_drawn_here() -> None:
    weights: list[list[float]] = [[1.0], [1.0, 5.0, 0.2], [2.0], [0.5]]
    with style.applied(usetex=False), FigurePool() as pool:
        for number, each in enumerate(weights):
            pool.draw(str(number), neuron.relu_neuron, each)
        finished = pool.finished()
        assert finished == {
            str(number): artifacts.png(neuron.relu_neuron(each))
            for number, each in enumerate(weights)
        }
    assert len(set(finished.values())) == len(weights)


def test_what_drawing_a_figure_raises_is_raised() -> None:
    with FigurePool() as pool:
        pool.draw("refused", refused, "found no images")
        with pytest.raises(DataError, match="found no images"):
            pool.finished()
