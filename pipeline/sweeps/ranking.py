"""The trials of a sweep side by side, the best first; pure functions."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.outs import tables
from pipeline.sweeps.sweep_file import SweepFile
from pipeline.tracking import trials
from pipeline.tracking.trials import Trial

FIRST = ("finished", "stopped", "failed")


def ranked(ended: Sequence[Trial], sweep: SweepFile) -> list[Trial]:
    """Finished trials before stopped ones, these before failed ones; the better ones first."""

    def rank(trial: Trial) -> tuple[int, float, int]:
        value = trial.value(sweep.metric)
        worse = math.inf if value is None else value if sweep.minimized else -value
        return FIRST.index(trial.status), worse, trial.number

    return sorted(ended, key=rank)


def rows(ended: Sequence[Trial], sweep: SweepFile) -> list[dict[str, Any]]:
    """What a table says of each trial."""
    names = trials.short_names(list(sweep.search), sweep.stage)
    return [
        {
            "trial": trial.number,
            **{names[key]: value for key, value in trial.chosen.items()},
            sweep.metric: trial.value(sweep.metric) if trial.status != "failed" else None,
            "epochs": len(trial.history),
            "seconds": round(trial.seconds, 1),
            "": trial.status if trial.status != "finished" else "",
        }
        for trial in ranked(ended, sweep)
    ]


def table(ended: Sequence[Trial], sweep: SweepFile) -> str:
    """The same as text."""
    cells = rows(ended, sweep)
    lines = [
        tuple(
            _cell(value, decimals=4 if name == sweep.metric else None)
            for name, value in row.items()
        )
        for row in cells
    ]
    text = tables.table([tuple(cells[0]), *lines], left=0)
    return "\n".join(line.rstrip() for line in text.splitlines())


def command(point: Mapping[str, Any], stage: str) -> str:
    """The DVC experiment that trains with these params, by dotted key."""
    values = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in point.items()
    }
    settings = " ".join(f"-S {shlex.quote(f'{key}={value}')}" for key, value in values.items())
    return f"dvc exp run {settings} {stage}"


def _cell(value: Any, decimals: int | None) -> str:
    if value is None:
        return ""
    return str(value) if decimals is None or isinstance(value, int) else f"{value:.{decimals}f}"
