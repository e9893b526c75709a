"""The results as a figure: `python -m benchmarks.figure RESULTS.json FIGURE.png`."""

import json
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.epochs import OURS
from benchmarks.report import NAMES, best
from pipeline.figures import style
from pipeline.outs import artifacts

Row = dict[str, Any]


def drawn(parts: Row) -> Figure:
    """A row of axes for each of epochs, whole pipeline and scale that was measured."""
    shown = [name for name in ("epochs", "pipeline", "scale") if name in parts]
    figure = Figure(figsize=(12, 3.6 * max(len(shown), 1)))
    rows = figure.subfigures(max(len(shown), 1), 1, squeeze=False)[:, 0]
    for name, row in zip(shown, rows, strict=False):
        match name:
            case "epochs":
                models = parts[name]["models"]
                row.suptitle("Core-seconds an epoch: median, least and greatest")
                for axes, (model, figures) in zip(
                    row.subplots(1, len(models), squeeze=False)[0], models.items(), strict=True
                ):
                    _epochs(axes, model, figures["variants"])
            case "pipeline":
                row.suptitle("The whole pipeline")
                _commands(row.subplots(), parts[name]["commands"])
            case _:
                row.suptitle("A stage, one epoch, by number of training images")
                seconds, memory = row.subplots(1, 2)
                _scale(seconds, parts[name]["stages"], "seconds", "seconds, start to end")
                _scale(memory, parts[name]["stages"], "peak_mib", "peak resident memory, MiB")
                seconds.set_yscale("log")
                seconds.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
                memory.set_ylim(bottom=0)
                seconds.legend(fontsize=9)
    return figure


def _epochs(axes: Axes, model: str, variants: list[Row]) -> None:
    rows = {peer: best(variants, peer, "core_seconds") for peer in reversed(NAMES)}
    bars = {
        NAMES[peer]: (row["core_seconds"], style.TRAIN if peer == OURS else "#b9c4cf")
        for peer, row in rows.items()
        if row
    }
    _bars(axes, bars)
    axes.set_title(model)


def _commands(axes: Axes, commands: Row) -> None:
    _bars(
        axes,
        {
            name: (figures["seconds"], "#b9c4cf" if "Keras" in name else style.TRAIN)
            for name, figures in reversed(commands.items())
            if ": " not in name  # the scripts together, not each
        },
    )
    axes.set_xlabel("seconds")


def _bars(axes: Axes, bars: dict[str, tuple[Row, str]]) -> None:
    """Medians, with a line from the least to the greatest and the median in figures."""
    spreads = [figures for figures, _ in bars.values()]
    medians = [figures["median"] for figures in spreads]
    drawn_bars = axes.barh(
        list(bars),
        medians,
        height=0.6,
        color=[colour for _, colour in bars.values()],
        xerr=[
            [figures["median"] - figures["min"] for figures in spreads],
            [figures["max"] - figures["median"] for figures in spreads],
        ],
        error_kw={"ecolor": style.QUIET, "lw": 1},
    )
    axes.bar_label(drawn_bars, [f" {value:.2f}" for value in medians], padding=3, fontsize=9)
    axes.set_xlim(0, 1.2 * max(figures["max"] for figures in spreads))
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
    with style.applied(usetex=False):
        artifacts.write_figure(target, drawn(json.loads(source.read_text())["parts"]))
