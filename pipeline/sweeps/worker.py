"""What runs in a worker: one training, by the very function that its stage calls."""

import importlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from pipeline.data.datasets import Dataset
from pipeline.errors import SweepError, UserError
from pipeline.outs import artifacts, dvc_lock, environment, paths, runtime
from pipeline.outs.artifacts import Row
from pipeline.params import PipelineParams, checked, schema, with_values
from pipeline.sweeps import folds
from pipeline.tracking.trials import Chosen, Status
from pipeline.training.declaration import Task, Training

FOLD = "fold"  # of a cross-validation, from 1: the key under which a trial says which is its own
POINT = "point"  # the key of a trial's config under which all of it is
ENDED = "trial"  # the key of a report under which it says what `trials.Trial` keeps


@dataclass(frozen=True)
class Work:
    """What trials have in common.

    Attributes:
        stage: whose training they are.
        document: the content of params.yaml, with what is set for all of them.
        environment: `decisive` of the machine that asks; another gives other bytes.
        metric: what is reported to the searcher; empty if there is none.
        worst: its value where a trial has none.
        every_epoch: whether to report each, so that a trial can be stopped early.
        folds: of the cross-validation; 0 if it is none.
    """

    stage: str
    document: dict[str, Any]
    environment: dict[str, str]
    metric: str = ""
    worst: float = 0.0
    every_epoch: bool = False
    folds: int = 0

    def params(self, values: Mapping[str, Any]) -> PipelineParams:
        """The params of a trial with these `values`.

        The sections of other stages are left out: their files need not be on a worker's machine.
        """
        known = (*PipelineParams.model_fields, self.stage)
        document = {
            key: value
            for key, value in with_values(self.document, values).items()
            if key in known and key != "promotion"
        }
        return checked(schema([self.stage]), document, self.stage)


def run(config: Mapping[str, Any], *, work: Work, dataset: Dataset) -> None:
    """Train at the point that was drawn, and report what came of it.

    A fault is a result too: raised, it would be tried again, and come to the same.
    """
    attempt = _Attempt(work)
    try:
        attempt.finish(config[POINT], dataset)
    except Exception as error:
        lines = str(error).splitlines() or [""]
        name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        attempt.report("failed", reason=f"{name}{lines[0]}"[:300])


@dataclass
class _Attempt:
    work: Work
    rows: list[Row] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def finish(self, drawn: Chosen, dataset: Dataset) -> None:
        work, stage = self.work, self.work.stage
        params = work.params({key: value for key, value in drawn.items() if key != FOLD})
        runtime.confirm(params.runtime)
        if (found := environment.decisive(params.runtime)) != work.environment:
            differing = dict(sorted(found.items() - work.environment.items()))
            raise SweepError(f"found {differing} on its machine, expected what is on mine")
        runtime.start_tensorflow(params.seed, params.runtime)
        if FOLD in drawn:
            dataset = folds.dataset(dataset, work.folds, drawn[FOLD], params.seed)
        training: Training = importlib.import_module(f"stages.{stage}").TRAINING
        task = Task(params.section(stage), params, dataset, on_epoch=[self.after_epoch])
        trained = training.train(task)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            trained.write(stage, root)
            files = (paths.model, paths.structure, paths.history, paths.metrics)
            outs = dvc_lock.hashes([str(path(stage)) for path in files], root)
            metrics = artifacts.read_metrics(root / paths.metrics(stage))
        self.rows = trained.history
        self.report("finished", metrics=metrics, outs=outs)

    def after_epoch(self, row: Row) -> None:
        self.rows.append(row)
        if self.work.every_epoch:
            self.report("stopped")  # as it will be if this is the last that it reports

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
