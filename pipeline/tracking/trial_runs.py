"""The runs of many trainings: one for the whole, and below it one for each trial that has ended.

All are written on the machine that asks, of what the trials report, and so are whole or not there:
a trial that is begun anew elsewhere has left nothing behind, and workers need not reach the store.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.outs.dvc_lock import StageState
from pipeline.params import with_values
from pipeline.tracking import pictures, provenance, runs, trials
from pipeline.tracking.run_table import in_words
from pipeline.tracking.store import NOTE, Store
from pipeline.tracking.trials import Status, Trial

# A stopped trial has no final metrics, so `compare` need not look at it.
STATUS: dict[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class Group:
    """Trials that belong together.

    Attributes:
        kind: before the name of each tag about it.
        id: names this start of it, resumptions included.
        stage: whose training the trials are, with what they have in common.
        settings: what was asked for, as params of the run of the whole.
        file: that asked for it, if there is one.
        cmd: that was called.
    """

    kind: Literal["sweep", "crossval"]
    id: str
    stage: StageState
    settings: Mapping[str, Any]
    file: Path | None
    cmd: str


@dataclass(frozen=True)
class Summary:
    """What came of a group.

    Attributes:
        metrics: of the whole.
        note: the same in words.
        rows: a table of the trials, by column.
        complete: whether all trials have ended.
    """

    metrics: Mapping[str, float]
    note: str
    rows: Sequence[Mapping[str, Any]]
    complete: bool


class TrialRuns:
    """The runs of a group, in the store: found again, or made."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.store = Store()
        self.source = provenance.source_tags(group.cmd)
        self.logged: set[str] = set()
        known = list(self.store.search(f"tags.`{group.kind}.id` = '{group.id}'"))
        whole = [run for run in known if MLFLOW_PARENT_RUN_ID not in run.data.tags]
        for run in known:
            if run in whole:
                continue
            if run.info.status == "RUNNING":
                self.store.delete(run)  # its writer was killed, or the store failed meanwhile
            else:
                self.logged.add(run.data.tags[f"{group.kind}.trial"])
        self.parent_id = (whole[0] if whole else self._begin()).info.run_id
        self._describe()

    def add(self, trial: Trial) -> None:
        """Make the run of `trial`, once."""
        client, group, number = self.store.client, self.group, str(trial.number)
        if number in self.logged:
            return
        state = replace(group.stage, params=with_values(group.stage.params, trial.chosen))
        tags = {
            f"{group.kind}.id": group.id,
            f"{group.kind}.trial": number,
            MLFLOW_PARENT_RUN_ID: self.parent_id,
            "dvc.stage": state.name,
            **self.source,
        }
        name = trials.label(trial.chosen, state.name)
        run = client.create_run(self.store.experiment_id, run_name=name, tags=tags)
        runs.log_epochs(self.store, run, trial.history)
        now = time.time_ns() // 1_000_000
        final = trial.metrics | {"trial_seconds": trial.seconds}
        known = trial.history[-1] if trial.history else {}
        note = (
            trial.reason or in_words(trial.metrics) or f"stopped after {len(trial.history)} epochs"
        )
        client.log_batch(
            run.info.run_id,
            metrics=[
                Metric(key, value, now, len(trial.history))
                for key, value in final.items()
                if value is not None and key not in known
            ],
            params=[Param(key, str(value)) for key, value in provenance.flat_params(state).items()],
            tags=[RunTag(NOTE, note)],
        )
        entry = provenance.lock_entry(replace(state, outs=trial.outs))
        client.log_text(run.info.run_id, entry, provenance.LOCK_ENTRY)
        if trial.history:
            pictures.log_curve(self.store, run, state.name, trial.history)
        client.set_terminated(run.info.run_id, STATUS[trial.status])
        self.logged.add(number)

    def complete(self, summary: Summary) -> None:
        """Say on the run of the whole what came of it."""
        client, run_id = self.store.client, self.parent_id
        now = time.time_ns() // 1_000_000
        metrics = [Metric(key, value, now, 0) for key, value in summary.metrics.items()]
        client.log_batch(run_id, metrics=metrics, tags=[RunTag(NOTE, summary.note)])
        columns = list(dict.fromkeys(key for row in summary.rows for key in row))
        data = [[row.get(key) for key in columns] for row in summary.rows]
        # The form of MLflow's own tables, written anew each time; `log_table` would add to it.
        client.log_dict(run_id, {"columns": columns, "data": data}, "trials.json")
        client.set_terminated(run_id, "FINISHED" if summary.complete else "KILLED")

    def _begin(self) -> Run:
        group = self.group
        tags = {
            f"{group.kind}.id": group.id,
            f"{group.kind}.stage": group.stage.name,
            **self.source,
        }
        return self.store.client.create_run(self.store.experiment_id, run_name=group.id, tags=tags)

    def _describe(self) -> None:
        """Say on the run of the whole what was asked for; one that was found may lack it."""
        client, run_id = self.store.client, self.parent_id
        client.update_run(run_id, status="RUNNING")
        params = [Param(key, str(value)) for key, value in self.group.settings.items()]
        client.log_batch(run_id, params=params)
        if self.group.file:
            client.log_artifact(run_id, str(self.group.file))
