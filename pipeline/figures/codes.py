"""How the codes lie in space."""

from collections.abc import Mapping

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.figures import style
from pipeline.figures.classification import Labels
from pipeline.figures.digits import Names
from pipeline.figures.plane import Plane

LEGEND = 20  # classes that a legend can list
COLUMNS = 3  # planes side by side


def code_map(planes: Mapping[str, Plane], labels: Labels, names: Names) -> Figure:
    """Codes on the plane in which they vary most, coloured by class.

    `planes` go by the autoencoders' titles.
    """
    colours = np.array(style.class_colours(len(names)))[:, :3]
    columns = min(len(planes), COLUMNS)
    rows = -(-len(planes) // columns)
    figure = Figure(figsize=(6 * columns, 6.4 * rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(planes) :]:
        axes.set_axis_off()
    for axes, (title, plane) in zip(grid.flat, planes.items(), strict=False):
        axes.scatter(*plane.points.T, s=9, lw=0, alpha=0.7, color=colours[labels])
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(f"first principal component ({plane.share[0]:.0%} of the variance)")
        axes.set_ylabel(f"second ({plane.share[1]:.0%})")
        axes.set_title(title)
    if len(names) <= LEGEND:
        handles = [
            Line2D([], [], marker="o", ls="", color=colour, label=style.class_name(label))
            for colour, label in zip(colours, names, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center", title="class")
    else:
        scale = ScalarMappable(Normalize(0, len(names) - 1), ListedColormap(colours))
        bar = figure.colorbar(scale, ax=figure.axes, label="class")
        ends = [0, len(names) - 1]
        bar.set_ticks(ends, labels=[style.class_name(names[index]) for index in ends])
    gap = "\n" if columns == 1 else " "  # in one line it is wider than one plane
    figure.suptitle(f"The codes of {len(labels):,} test images,{gap}seen in two dimensions")
    return figure
