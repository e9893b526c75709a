"""What runs in a worker: one training, by the very function that its stage calls."""

import importlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from pipeline import artifacts, environment, layout, lock, runtime
from pipeline.artifacts import Row
from pipeline.datasets import Dataset
from pipeline.errors import SweepError, UserError
from pipeline.params import Params, checked, with_values
from pipeline.sweeps import folds
from pipeline.trials import Chosen, Status

FOLD = "fold"  # of a cross-validation, from 1: the key under which a trial is told which is its own
POINT = "point"  # the key of a trial's config under which all of it is
ENDED = "trial"  # the key of a report under which it says what `trials.Trial` keeps


@dataclass(frozen=True)
class Work:
    """What trials have in common.

    Attributes:
        stage: whose training they are.
        document: the content of params.yaml, with what is set for all of them.
        packages: the versions on the machine that asks; others give other bytes.
        metric: what the searcher wants to hear of; empty if there is none.
        worst: its value where a trial has none.
        every_epoch: whether to report each, so that a trial can be stopped early.
        folds: of the cross-validation; 0 if it is none.
    """

    stage: str
    document: dict[str, Any]
    packages: dict[str, str]
    metric: str = ""
    worst: float = 0.0
    every_epoch: bool = False
    folds: int = 0


def run(config: Mapping[str, Any], *, work: Work, dataset: Dataset) -> None:
    """Train at the point that was drawn, and report what came of it.

    A fault is a result too: raised, it would be tried again, and come to the same.
    """
    attempt = _Attempt(work)
    try:
        attempt.finish(config[POINT], dataset)
    except Exception as error:
        told = str(error).splitlines() or [""]
        name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        attempt.report("failed", reason=f"{name}{told[0]}"[:300])


@dataclass
class _Attempt:
    work: Work
    rows: list[Row] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def finish(self, drawn: Chosen, dataset: Dataset) -> None:
        work, stage = self.work, self.work.stage
        values = {key: value for key, value in drawn.items() if key != FOLD}
        params = checked(Params, with_values(work.document, values), stage)
        runtime.confirm(params.runtime)
        if (found := environment.used(params.runtime)["packages"]) != work.packages:
            differing = dict(sorted(found.items() - work.packages.items()))
            raise SweepError(f"found {differing} on its machine, expected the versions of mine")
        with runtime.lean_import():
            module = importlib.import_module(f"pipeline.activities.{stage.removeprefix('train_')}")
            from pipeline.activities.task import Task, Trained
        runtime.start_tensorflow(params.seed, params.runtime)
        if FOLD in drawn:
            dataset = folds.dataset(dataset, work.folds, drawn[FOLD], params.seed)
        trained: Trained = module.train(Task(params, dataset, on_epoch=[self.after_epoch]))
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            trained.write(stage, root)
            files = (layout.model, layout.structure, layout.history, layout.metrics)
            outs = lock.hashes([str(path(stage)) for path in files], root)
            metrics = artifacts.read_metrics(root / layout.metrics(stage))
        self.rows = trained.history
        self.report("finished", metrics=metrics, outs=outs)

    def after_epoch(self, row: Row) -> None:
        self.rows.append(row)
        if self.work.every_epoch:
            self.report("stopped")  # as it will be if this is the last that is heard of it

    def report(
        self,
        status: Status,
        *,
        reason: str = "",
        metrics: Mapping[str, Any] | None = None,
        outs: Mapping[str, str] | None = None,
    ) -> None:
        last = (self.rows[-1] if self.rows else {}) | dict(metrics or {})
        value = last.get(self.work.metric) if status != "failed" else None
        decisive = {self.work.metric: self.work.worst if value is None else value}
        ended = {
            "status": status,
            "reason": reason,
            "metrics": dict(metrics or {}),
            "history": list(self.rows),
            "outs": dict(outs or {}),
            "seconds": round(time.monotonic() - self.began, 3),
        }
        tune.report(
            {"epoch": len(self.rows), ENDED: ended} | (decisive if self.work.metric else {})
        )
