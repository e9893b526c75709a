"""What the weight does to a ReLU neuron."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

LINES = ("-", ":", "--", "-.")
LABEL_SIZE = 22  # points; the textbook's, as are the 10 x 7 inches and the 100 values


def relu_neuron(weights: Sequence[float]) -> Figure:
    """h(x weight) = max(0, x weight) for x in [-5, 5], a line for each of up to four `weights`."""
    x = np.linspace(-5, 5, 100)
    figure = Figure(figsize=(10, 7))
    axes = figure.subplots()
    for weight, line in zip(weights, LINES, strict=False):
        axes.plot(x, np.maximum(0, x * weight), "k", ls=line, lw=2, label=rf"$\Theta={weight:g}$")
    axes.spines["left"].set_position("zero")
    axes.spines["bottom"].set_position("zero")
    axes.set_xlabel("$x$", fontsize=LABEL_SIZE)
    axes.set_ylabel(r"$h(x\Theta)$", fontsize=LABEL_SIZE, rotation=0, ha="right")
    axes.yaxis.set_label_coords(0.44, 0.93)
    axes.tick_params(labelsize=14)
    for axis in (axes.xaxis, axes.yaxis):  # a zero would lie on the other axis
        axis.set_major_formatter(lambda value, _: f"{value:g}" if value else "")
    axes.margins(x=0.02, y=0.05)
    if len(weights) > 1:
        axes.legend(fontsize=LABEL_SIZE, loc="upper left")
    figure.suptitle(r"A ReLU neuron: the larger of 0 and $x\Theta$")
    return figure
