"""Images beside what the models make of them. Images are uint8, reconstructions 0..1."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.plane import Floats

Images = npt.NDArray[np.uint8]
Names = npt.NDArray[np.int64] | npt.NDArray[np.str_]


def labelled(images: Images, names: Names) -> Figure:
    """Ten images, 2 x 5, each with its class."""
    figure = Figure(figsize=(9, 4.4))
    for axes, pixels, name in zip(figure.subplots(2, 5).flat, images, names, strict=False):
        style.image(axes, pixels)
        style.column_title(axes, style.class_name(name))
    for axes in figure.axes[len(images) :]:
        axes.set_axis_off()
    figure.suptitle("The first training images and their labels")
    return figure


def has_maps(codes: Floats) -> bool:
    """Whether `codes` are feature maps, (n, height, width, filters); else they are vectors."""
    return codes.ndim == 4


def codes(title: str, images: Images, codes: Floats, reconstructions: Floats) -> Figure:
    """Originals, their codes, and what `title`, an autoencoder, makes of those."""
    draw = _maps if has_maps(codes) else _vectors
    figure = draw(images, codes, reconstructions)
    figure.suptitle(f"{style.capitalized(title)}: an image, its code, and what the code gives back")
    return figure


def _vectors(images: Images, codes: Floats, reconstructions: Floats) -> Figure:
    """Originals, codes as near-square pictures, and reconstructions: 3 rows.

    A code that fills no rectangle is padded with blanks.
    """
    codes = codes.reshape(len(codes), -1)
    columns = int(np.ceil(np.sqrt(codes.shape[1])))
    rows = -(-codes.shape[1] // columns)
    pictures = np.full((len(codes), rows * columns), np.nan, np.float32)
    pictures[:, : codes.shape[1]] = codes
    return _rows(
        {
            "original": images,
            f"code\n({codes.shape[1]} numbers)": pictures.reshape(-1, rows, columns),
            "reconstruction": reconstructions,
        },
        heights=[1, 1, 1],
    )


def _maps(images: Images, codes: Floats, reconstructions: Floats) -> Figure:
    """Originals, codes as mean map and as strip, and reconstructions: 4 rows.

    The strip has a row for each place, a column for each filter.
    """
    places, filters = codes.shape[1] * codes.shape[2], codes.shape[3]
    return _rows(
        {
            "original": images,
            "mean over\nthe code's maps": codes.mean(axis=3),
            f"code as a strip\n({places} places\nx {filters} maps)": codes.reshape(
                len(codes), places, filters
            ),
            "reconstruction": reconstructions,
        },
        heights=[1, 1, 1.6, 1],
    )


def feature_maps(title: str, images: Images, codes: Floats) -> Figure:
    """Each image beside every map of its code, which `has_maps`; one grey scale a row."""
    filters = codes.shape[3]
    scale = max(images.shape[1] // codes.shape[1], 1)
    gap = max(images.shape[1] // 14, 1)  # blank pixels between maps
    pictures = [np.kron(code.transpose(2, 0, 1), np.ones((scale, scale))) for code in codes]
    figure = Figure(figsize=(max(1.3 + 0.72 * filters, 8), 0.8 + 0.82 * len(images)))
    grid = figure.subplots(len(images), 2, squeeze=False, width_ratios=[1, filters])
    for (left, right), pixels, maps in zip(grid, images, pictures, strict=True):
        style.image(left, pixels)
        style.image(right, _side_by_side(maps, gap), aspect="equal")
    width = pictures[0].shape[2]
    right = grid[-1, 1]
    centres = np.arange(filters) * (width + gap) + (width - 1) / 2
    right.set_xticks(centres, range(1, filters + 1))
    right.tick_params(length=0, labelsize=9, labelcolor=style.QUIET)
    figure.suptitle(
        f"{style.capitalized(title)}: an image and the {filters} feature maps of its code"
    )
    return figure


def comparison(
    images: Images, names: Names, reconstructions: dict[str, Floats], errors: dict[str, Floats]
) -> Figure:
    """Each image and, below it, what each autoencoder makes of it, with its mean squared error.

    `reconstructions` and `errors` go by the autoencoder's label; errors are (n,).
    """
    figure = Figure(figsize=(1.6 + 1.02 * len(images), 1.7 + 1.25 * len(reconstructions)))
    grid = figure.subplots(1 + len(reconstructions), len(images), squeeze=False)
    for axes, pixels, name in zip(grid[0], images, names, strict=True):
        style.image(axes, pixels)
        style.column_title(axes, style.class_name(name))
    style.row_title(grid[0, 0], "original")
    for row, (model, restored) in zip(grid[1:], reconstructions.items(), strict=True):
        for axes, pixels, error in zip(row, restored, errors[model], strict=True):
            style.image(axes, pixels, f"{error:.4f}", vmin=0, vmax=1)
        style.row_title(row[0], f"{model}\n(squared error\nper pixel)")
    figure.suptitle("Test images and their reconstructions")
    return figure


def _side_by_side(
    pictures: npt.NDArray[np.floating[Any]], gap: int
) -> npt.NDArray[np.floating[Any]]:
    """One picture (height, n (width + gap)) of n pictures; a gap is blank."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, gap)), constant_values=np.nan)
    return np.concatenate(list(padded), axis=1)


def _rows(pictures: dict[str, npt.NDArray[np.generic]], heights: list[float]) -> Figure:
    count = len(next(iter(pictures.values())))
    figure = Figure(figsize=(1.7 + 1.5 * count, 0.7 + 1.5 * sum(heights)))
    grid = figure.subplots(len(pictures), count, squeeze=False, height_ratios=heights)
    for row, (title, images), height in zip(grid, pictures.items(), heights, strict=True):
        for axes, pixels in zip(row, images, strict=True):
            aspect: Any = "equal" if height == 1 else "auto"
            style.image(axes, pixels, blank=style.BLANK, aspect=aspect)
        style.row_title(row[0], title)
    return figure
