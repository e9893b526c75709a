"""What a file of images looks like, at a glance."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.digits import Images


def contact_sheet(title: str, samples: Mapping[str, Sequence[Images]]) -> Figure:
    """A row of images, each (side, side), for each class by its name."""
    columns = max(map(len, samples.values()))
    figure = Figure(figsize=(2 + 0.75 * columns, 0.7 + 0.75 * len(samples)))
    grid = figure.subplots(len(samples), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (name, images) in zip(grid, samples.items(), strict=True):
        row[0].set_axis_on()
        for axes, pixels in zip(row, images, strict=False):
            axes.set_axis_on()
            style.image(axes, pixels, vmin=0, vmax=255)
        style.row_title(row[0], style.class_name(name))
    figure.suptitle(style.literal(title))
    return figure
