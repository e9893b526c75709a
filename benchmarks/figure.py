"""The last machine's results as a figure: `python -m benchmarks.figure RESULTS.json FIGURE.png`."""

import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from benchmarks import store
from benchmarks.comparison import BOTH, NAMES, best
from benchmarks.variants import OURS
from pipeline.figures import style
from pipeline.outs import artifacts

Row = dict[str, Any]
OTHERS = "#b9c4cf"
CAPPED, UNCAPPED = 1.0, 0.5  # opacity of a bar
TITLES = {
    "epochs": "Core-seconds an epoch: median, least and greatest",
    "pipeline": "The whole pipeline",
    "scale": "A stage, one epoch, by number of training images",
}


def drawn(name: str, parts: Row) -> Figure:
    """A row of axes for each of epochs, whole pipeline and scale that was measured on `name`."""
    shown = [part for part in TITLES if part in parts]
    figure = Figure(figsize=(12, 4 * max(len(shown), 1)))
    rows = figure.subfigures(max(len(shown), 1), 1, squeeze=False)[:, 0]
    for part, row in zip(shown, rows, strict=False):
        row.suptitle(f"{name}\n\n{TITLES[part]}" if part == shown[0] else TITLES[part])
        match part:
            case "epochs":
                _epochs(row, parts[part]["models"])
            case "pipeline":
                _commands(row.subplots(), parts[part]["commands"])
            case _:
                seconds, memory = row.subplots(1, 2)
                _scale(seconds, parts[part]["stages"], "seconds", "seconds, start to end")
                _scale(memory, parts[part]["stages"], "peak_mib", "peak resident memory, MiB")
                seconds.set_yscale("log")
                seconds.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
                memory.set_ylim(bottom=0)
                seconds.legend(fontsize=9)
    return figure


def _epochs(row: SubFigure, models: Row) -> None:
    """Axes a model: with AVX2 and without a cap, a bar each."""
    for axes, (model, figures) in zip(
        row.subplots(1, len(models), squeeze=False)[0], models.items(), strict=True
    ):
        peers = [peer for peer in NAMES if best(figures["variants"], [peer], "core_seconds")]
        for cpu_isa, place in zip(BOTH, (-0.2, 0.2), strict=True):
            least = {
                peer: best(figures["variants"], [peer], "core_seconds", cpu_isa=[cpu_isa])
                for peer in peers
            }
            _bars(
                axes,
                [index + place for index, peer in enumerate(peers) if least[peer]],
                [found["core_seconds"] for found in least.values() if found],
                [style.TRAIN if peer == OURS else OTHERS for peer in peers if least[peer]],
                height=0.36,
                alpha=CAPPED if cpu_isa == "avx2" else UNCAPPED,
            )
        axes.set_yticks(range(len(peers)), [NAMES[peer] for peer in peers])
        axes.set_title(model)
    row.legend(
        [Patch(color=style.QUIET, alpha=alpha) for alpha in (CAPPED, UNCAPPED)],
        ["with AVX2", "without a cap"],
        loc="outside lower center",
        ncols=2,
        fontsize=9,
    )


def _commands(axes: Axes, commands: Row) -> None:
    names = [name for name in commands if ": " not in name]  # the scripts together, not each
    _bars(
        axes,
        range(len(names)),
        [commands[name]["seconds"] for name in names],
        [OTHERS if "Keras" in name else style.TRAIN for name in names],
        height=0.6,
    )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("seconds")


def _bars(
    axes: Axes,
    places: Sequence[float],
    spreads: list[Row],
    colours: list[str],
    *,
    height: float,
    alpha: float = 1,
) -> None:
    """Medians from top to bottom, with a line from least to greatest and the median in figures."""
    medians = [figures["median"] for figures in spreads]
    drawn_bars = axes.barh(
        places,
        medians,
        height=height,
        color=colours,
        alpha=alpha,
        xerr=[
            [figures["median"] - figures["min"] for figures in spreads],
            [figures["max"] - figures["median"] for figures in spreads],
        ],
        error_kw={"ecolor": style.QUIET, "lw": 1},
    )
    axes.bar_label(drawn_bars, [f" {value:.2f}" for value in medians], padding=3, fontsize=9)
    axes.set_xlim(0, 1.2 * axes.dataLim.x1)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _scale(axes: Axes, rows: list[Row], figure: str, label: str) -> None:
    stages = dict.fromkeys(row["stage"] for row in rows)
    for stage, colour in zip(stages, cycle((style.QUIET, style.TRAIN, *style.MODELS))):
        own = [row for row in rows if row["stage"] == stage]
        axes.plot(
            [row["images"] for row in own],
            [row[figure] for row in own],
            marker="o",
            color=colour,
            label=stage,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("training images")
    axes.set_ylabel(label)
    axes.grid(color="#e6e6e6")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    last_name, last = next(iter(store.read(source).items()))
    with style.applied(usetex=False):
        artifacts.write_figure(target, drawn(last_name, last["parts"]))
