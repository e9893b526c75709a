"""Training curves."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.artifacts import Row
from pipeline.figures import style

History = Sequence[Row]


def training_curves(
    classifier: History, autoencoders: Mapping[str, History], target_accuracy: float
) -> Figure:
    """Loss of every model and accuracy of the classifier, an epoch at a time."""
    figure = Figure(figsize=(11, 7.5))
    grid = figure.subplots(2, 2)
    _pair(grid[0, 0], classifier, "accuracy", "Classifier: accuracy")
    grid[0, 0].axhline(target_accuracy, color=style.QUIET, lw=1, ls="--")
    grid[0, 0].annotate(
        f"target {target_accuracy:.0%}",
        (classifier[0]["epoch"], target_accuracy),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9,
        color=style.QUIET,
    )
    _pair(grid[0, 1], classifier, "loss", "Classifier: cross-entropy")
    for axes, (name, history) in zip(grid[1], autoencoders.items(), strict=True):
        _pair(axes, history, "loss", f"{name} autoencoder: binary cross-entropy")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle("Training curves")
    return figure


def _pair(axes: Axes, history: History, name: str, title: str) -> None:
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
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e6e6e6")
