"""Where a classifier is wrong."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.digits import Images, Names
from pipeline.figures.plane import Floats

Labels = npt.NDArray[np.uint8]
CELL_NUMBERS = 15  # classes up to which a cell has room for its number
MOST_TICKS = 30
MOST_LYING = 4  # characters of a name that have room below a column


def confusion_matrix(title: str, labels: Labels, predicted: Labels, names: Names) -> Figure:
    """Test images counted by true class (rows) and predicted class (columns).

    The colour is the share of the row, on a square-root scale so that rare mistakes show.
    """
    count = len(names)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    figure = Figure(figsize=(7.5, 7.5))
    axes = figure.subplots()
    axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    shown = range(0, count, -(-count // MOST_TICKS))
    axes.set(xlabel="predicted", ylabel="true")
    called = [style.class_name(name) for name in names[shown]]
    turned = max(map(len, called)) > MOST_LYING
    axes.set_xticks(shown, called, rotation=90 if turned else 0)
    axes.set_yticks(shown, called)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=10)
    if count <= CELL_NUMBERS:
        for row, column in np.ndindex(count, count):
            if number := matrix[row, column]:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, f"{number}", ha="center", va="center", color=colour)
    accuracy = np.trace(matrix) / matrix.sum()
    figure.suptitle(
        f"{style.capitalized(title)} on {matrix.sum():,} test images: {accuracy:.1%} right"
    )
    return figure


def confident_mistakes(
    title: str, images: Images, labels: Labels, probabilities: Floats, names: Names
) -> Figure:
    """The 15 wrongly classified images of which the classifier was surest, surest first.

    `probabilities` are (n, classes).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:15]
    figure = Figure(figsize=(9.5, 6.8))
    grid = figure.subplots(3, 5)
    for axes in grid.flat:
        axes.set_axis_off()
    called = [style.class_name(name) for name in names]
    # Names of words have no room beside each other.
    gap = " " if max(map(len, called)) <= MOST_LYING else "\n"
    for axes, index in zip(grid.flat, surest, strict=False):
        axes.set_axis_on()
        style.image(axes, images[index])
        told, true = called[predicted[index]], called[labels[index]]
        answer = f"{told} ({confidence[index]:.1%}),{gap}is {true}"
        style.column_title(axes, answer, size=10, room=20)
    figure.suptitle(f"The {title}'s most confident mistakes on test images")
    return figure
