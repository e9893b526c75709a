"""A sweep: the trials of a file, those that have ended and those that are left."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import params, stage_files
from pipeline.data.datasets import Dataset
from pipeline.errors import StorageError, SweepError
from pipeline.outs import artifacts, dvc_lock, environment, paths
from pipeline.params import PipelineParams
from pipeline.sweeps import cluster, ranking, sampling, sweep_file
from pipeline.sweeps.recorder import Recorder
from pipeline.sweeps.sweep_file import SweepFile
from pipeline.sweeps.worker import Work
from pipeline.tracking import trials
from pipeline.tracking.trial_runs import Group, Summary
from pipeline.tracking.trials import Trial

ID = "id"  # the file in a sweep's folder that names its start
LOCK = "lock"  # the one that is locked while it runs


@dataclass(frozen=True)
class Sweep:
    """A sweep file, with what belongs to it."""

    file: Path
    asked: SweepFile
    document: Mapping[str, Any]

    @cached_property
    def base(self) -> dict[str, Any]:
        """The content of params.yaml with what is set for all trials."""
        return params.with_values(self.document, self.asked.params)

    @cached_property
    def settings(self) -> PipelineParams:
        """The same, checked."""
        schema = params.schema(stage_files.names())
        return params.checked(schema, self.base, str(self.file))

    @cached_property
    def work(self) -> Work:
        """What a worker is given once."""
        infinity = float("inf")
        return Work(
            stage=self.asked.stage,
            document=self.base,
            environment=environment.decisive(self.settings.runtime),
            metric=self.asked.metric,
            worst=infinity if self.asked.minimized else -infinity,
            every_epoch=self.asked.early_stopping,
        )

    @cached_property
    def stage(self) -> dvc_lock.StageState:
        """What the trials have in common."""
        state = dvc_lock.current(self.asked.stage)
        # What params.yaml says of a key that is searched is no part of it: `--apply` changes that.
        common = params.with_values(self.base, dict.fromkeys(self.asked.search))
        return replace(state, params={key: common[key] for key in state.params}, outs={})

    @cached_property
    def folder(self) -> Path:
        """Where its trials are kept: named after all that a result depends on, so none is mixed."""
        inputs = [self.asked.model_dump(), self.stage.fingerprint, self.work.environment]
        key = hashlib.md5(json.dumps(inputs, sort_keys=True).encode())  # noqa: S324
        return paths.SWEEPS / f"{self.file.stem}-{key.hexdigest()[:8]}"

    @cached_property
    def command(self) -> str:
        """What was called."""
        default = self.file == paths.SWEEP_FILE
        return "python -m pipeline sweep" + ("" if default else f" {self.file}")

    @cached_property
    def group(self) -> Group:
        """What MLflow is to know of it."""
        asked = self.asked.model_dump(exclude={"params", "search"}, exclude_none=True)
        fixed = {f"params.{key}": value for key, value in self.asked.params.items()}
        searched = {
            f"search.{key}": found.model_dump(exclude_none=True)
            for key, found in self.asked.search.items()
        }
        name = (self.folder / ID).read_text().strip()
        return Group("sweep", name, self.stage, asked | fixed | searched, self.file, self.command)

    @contextmanager
    def alone(self, *, resume: bool) -> Iterator[list[Trial]]:
        """Hold its folder while it runs; yield the trials that have ended and stay.

        Another process would give its trials the same numbers. The kernel unlocks the file when
        this one ends, however it does.

        Raises:
            SweepError: there is nothing to resume, or something that would be lost; or another
                process runs it.
            StorageError: there can be no such folder.
        """
        if resume and not (self.folder / ID).exists():
            raise SweepError(
                f"{paths.SWEEPS}: found no sweep of {self.file} with the code, data and params of "
                f"now, expected one; without --resume it begins"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("wb")
        except OSError as error:
            raise StorageError(f"{self.folder}: can't be written: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SweepError(
                    f"{self.folder}: found another process that runs this sweep, expected none; "
                    "once that has ended, --resume shows what came of it"
                ) from None
            ended = trials.read(self.folder)
            if not resume and 0 < len(ended) < self.asked.trials:
                raise SweepError(
                    f"{self.folder}: found {len(ended)} of {self.asked.trials} trials, expected "
                    "none; --resume goes on with them, and removing the folder begins anew"
                )
            yield ended if resume else []

    def clear(self) -> None:
        """Begin anew: remove what trials of an earlier start have left, and name this one."""
        # The last first: whenever this is cut off, what is left can be resumed.
        for path in sorted(self.folder.glob("*.json"), reverse=True):
            path.unlink()
        now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        artifacts.write_text(self.folder / ID, f"{self.folder.name}-{now}")

    def run(self, dataset: Dataset, ended: list[Trial], recorder: Recorder) -> None:
        """Run the trials that `ended` lacks; add each to it, and keep and report it, as it ends.

        It takes the cluster that it is called in.
        """
        total = self.asked.trials
        width = len(str(total))

        def add(drawn: Mapping[str, Any], report: Mapping[str, Any]) -> None:
            chosen = sweep_file.point(self.asked, drawn)
            trial = Trial(number=len(ended) + 1, chosen=chosen, **report)
            trials.write(self.folder, trial)
            ended.append(trial)
            recorder.add(trial)
            value = trial.value(self.asked.metric)
            figures = {
                "finished": f"{self.asked.metric} {value:.4f}" if value is not None else "",
                "stopped": f"stopped after {len(trial.history)} epochs",
                "failed": f"failed: {trial.reason}",
            }
            label = trials.label(chosen, self.asked.stage)
            print(
                f"trial {trial.number:>{width}}/{total}  {label}  {figures[trial.status]}",
                flush=True,
            )

        def lose(drawn: Mapping[str, Any]) -> None:
            label = trials.label(sweep_file.point(self.asked, drawn), self.asked.stage)
            print(f"given up: {label}: its worker was lost {cluster.LOST + 1} times", flush=True)

        epochs = self.settings.section(self.asked.stage).epochs
        cluster.run(
            self.work,
            dataset,
            sampling.rest(self.asked, ended, self.work.worst),
            threads=self.settings.runtime.threads,
            scheduler=sampling.early_stopping(epochs) if self.asked.early_stopping else None,
            ended=add,
            lost=lose,
        )

    def point(self, trial: Trial) -> dict[str, Any]:
        """All that `trial` had over params.yaml."""
        return {**self.asked.params, **trial.chosen}

    def summary(self, ended: Sequence[Trial]) -> Summary:
        """What came of it."""
        complete = len(ended) == self.asked.trials
        best = next(iter(ranking.ranked(ended, self.asked)), None)
        if best is None or best.status != "finished":
            return Summary({}, "no trial has finished", [], complete)
        value = best.value(self.asked.metric) or 0.0
        again = ranking.command(self.point(best), self.asked.stage)
        note = f"{self.asked.metric} {value:.4f} in trial {best.number}. Again: `{again}`"
        return Summary({self.asked.metric: value}, note, ranking.rows(ended, self.asked), complete)
