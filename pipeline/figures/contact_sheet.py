"""What a file of images looks like, at a glance."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.digits import Images

BLANK = 255  # between images, and where a class has no more of them


def contact_sheet(title: str, samples: Mapping[str, Sequence[Images]]) -> Figure:
    """A row of images, each (side, side), for each class by its name.

    They are one picture on one pair of axes: a pair for each image took ten times as long.
    """
    columns = max(map(len, samples.values()))
    side = next(iter(samples.values()))[0].shape[0]
    gap = max(side // 14, 1)
    pitch = side + gap
    # Room to the right and below is left out again: gaps are between images alone.
    picture = np.full((len(samples) * pitch, columns * pitch), BLANK, np.uint8)
    for row, images in enumerate(samples.values()):
        for column, pixels in enumerate(images):
            top, left = row * pitch, column * pitch
            picture[top : top + side, left : left + side] = pixels
    figure = Figure(figsize=(2 + 0.75 * columns, 0.7 + 0.75 * len(samples)), layout="compressed")
    axes = figure.subplots()
    style.image(axes, picture[:-gap, :-gap], vmin=0, vmax=BLANK)
    middles = np.arange(len(samples)) * pitch + (side - 1) / 2
    axes.set_yticks(middles, [style.class_name(name) for name in samples])
    axes.tick_params(length=0, pad=8)
    figure.suptitle(style.literal(title))
    return figure
