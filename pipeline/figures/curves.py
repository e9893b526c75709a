"""Training curves."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import style
from pipeline.outs.artifacts import Row

COLUMNS = 2


@dataclass(frozen=True)
class Panel:
    """The curve of one figure of a training.

    Attributes:
        title: of the model.
        measure: "accuracy", or what its loss is called.
        history: a row an epoch, with `accuracy` or `loss`, and the same as `test_`.
        target: a line to reach.
    """

    title: str
    measure: str
    history: Sequence[Row]
    target: float | None = None


def panels(
    title: str, output: str, history: Sequence[Row], target: float | None = None
) -> list[Panel]:
    """Those of one training: accuracy and loss of a classifier, the loss of any other model.

    Args:
        title: of the model.
        output: "classes" of a classifier.
        history: a row an epoch.
        target: the accuracy that a classifier is to reach.
    """
    if output == "classes":
        return [
            Panel(title, "accuracy", history, target),
            Panel(title, "cross-entropy", history),
        ]
    return [Panel(title, "binary cross-entropy", history)]


def training_curves(panels: Sequence[Panel]) -> Figure:
    """Each of `panels`, an epoch at a time, in rows of two; one alone fills the figure."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(11 if columns > 1 else 7, 3.75 * rows if columns > 1 else 4.2))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    if len(panels) > 1:
        figure.suptitle("Training curves")
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    history, name = panel.history, "accuracy" if panel.measure == "accuracy" else "loss"
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) < 4 else ""
    axes.plot(
        epochs,
        [row[name] for row in history],
        color=style.TRAIN,
        marker=marker,
        label="training images, mean while the weights change",
    )
    axes.plot(
        epochs,
        [row[f"test_{name}"] for row in history],
        color=style.TEST,
        marker=marker,
        label="test images, after the epoch",
    )
    axes.set_title(f"{style.capitalized(panel.title)}: {panel.measure}")
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e6e6e6")
    if panel.target is not None:
        axes.axhline(panel.target, color=style.QUIET, lw=1, ls="--")
        axes.annotate(
            f"target {panel.target:.0%}",
            (epochs[0], panel.target),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=9,
            color=style.QUIET,
        )
