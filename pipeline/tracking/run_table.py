"""Tracked runs side by side: as text, as Markdown, as JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.outs.tables import table
from pipeline.training.metrics import Metric

SHORT = 7  # characters of a commit or a fingerprint, as git shows them
DIRTY = "+"  # behind the commit of a run whose code or params were not committed
HIDDEN = ("kind", "declared")  # of a run, what JSON does not show
IDENTITY = ("stage", "when (UTC)", "commit", "fingerprint", "experiment")


@dataclass(frozen=True)
class TrackedRun:
    """A finished run.

    Attributes:
        stage: that it is a run of.
        kind: of several runs, those of one kind are compared.
        declared: the metrics of that stage, in the order of tables.
        started: when, in UTC.
        commit: of the code; empty outside git.
        dirty: whether code or params differed from that commit.
        fingerprint: of all that went in.
        experiment: name of the DVC experiment; empty if it was none.
        params: by short names.
        metrics: the final ones, as in data/metrics.
    """

    stage: str
    kind: str
    declared: tuple[Metric, ...]
    started: datetime
    commit: str
    dirty: bool
    fingerprint: str
    experiment: str
    params: dict[str, str]
    metrics: dict[str, float]


def as_text(runs: Sequence[TrackedRun]) -> str:
    """A table a kind of model, the best of each metric marked with a `*`."""
    tables = [
        table(list(_rows(kind, best="{}*", other="{} ")), left=len(IDENTITY))
        for kind in _kinds(runs)
    ]
    return re.sub(" +$", "", "\n\n".join(tables), flags=re.MULTILINE)


def as_markdown(runs: Sequence[TrackedRun]) -> str:
    """The same tables in Markdown, the best of each metric in bold."""
    tables = []
    for kind in _kinds(runs):
        heading, *rows = _rows(kind, best="**{}**", other="{}")
        rule = ["---"] * len(IDENTITY) + ["---:"] * (len(heading) - len(IDENTITY))
        lines = [_markdown_row(cells) for cells in (heading, rule, *rows)]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def as_json(runs: Sequence[TrackedRun]) -> str:
    """A list of the runs with all their params and metrics, and of which metrics it is the best."""
    entries: list[dict[str, Any]] = []
    for kind in _kinds(runs):
        best = _best(kind)
        entries += [
            {
                **{key: value for key, value in vars(run).items() if key not in HIDDEN},
                "started": run.started.isoformat(),
                "best": [name for name, value in run.metrics.items() if best.get(name) == value],
            }
            for run in kind
        ]
    return json.dumps(entries, indent=2)


def in_words(metrics: Mapping[str, float | None]) -> str:
    """`metrics` in a line, for a description."""
    known = {name: value for name, value in metrics.items() if value is not None}
    return ", ".join(f"{name} {_figure(value)}" for name, value in known.items())


def _kinds(runs: Sequence[TrackedRun]) -> Iterator[list[TrackedRun]]:
    """Runs whose metrics can be compared: those of all autoencoders together."""
    for kind in sorted({run.kind for run in runs}):
        yield [run for run in runs if run.kind == kind]


def _declared(runs: Sequence[TrackedRun]) -> dict[str, Metric]:
    """The metrics of these runs, by name."""
    return {metric.name: metric for run in runs for metric in run.declared}


def _rows(runs: Sequence[TrackedRun], best: str, other: str) -> Iterator[tuple[str, ...]]:
    metrics = [name for name in _declared(runs) if any(name in run.metrics for run in runs)]
    # What is a metric too, as `epochs` is, has its column already.
    params = [name for name in _differing(run.params for run in runs) if name not in metrics]
    winners = _best(runs)
    yield (*IDENTITY, *params, *(other.format(name) for name in metrics))
    for run in runs:
        yield (
            run.stage,
            f"{run.started:%Y-%m-%d %H:%M}",
            run.commit[:SHORT] + DIRTY * run.dirty,
            run.fingerprint[:SHORT],
            run.experiment,
            *(run.params.get(name, "") for name in params),
            *(
                (
                    best
                    if name in run.metrics and run.metrics[name] == winners.get(name)
                    else other
                ).format(_figure(run.metrics.get(name)))
                for name in metrics
            ),
        )


def _best(runs: Sequence[TrackedRun]) -> dict[str, float | None]:
    return {
        name: metric.best([run.metrics[name] for run in runs if name in run.metrics])
        for name, metric in _declared(runs).items()
    }


def _differing(params: Iterable[dict[str, str]]) -> list[str]:
    """The params that have several values among the runs that have them."""
    values: dict[str, set[str]] = {}
    for section in params:
        for name, value in section.items():
            values.setdefault(name, set()).add(value)
    return sorted(name for name, found in values.items() if len(found) > 1)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _markdown_row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
