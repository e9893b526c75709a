"""`make sweep`: trainings over a search space, and which was best."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import artifacts, environment, layout, lock, params, params_file, trials
from pipeline.datasets import Dataset
from pipeline.errors import SweepError
from pipeline.params import Params
from pipeline.sweeps import drawing, engine, ranking, space
from pipeline.sweeps.recorder import Recorder
from pipeline.sweeps.space import Sweep
from pipeline.sweeps.trial import Work
from pipeline.tracking.trial_runs import Group, Summary
from pipeline.trials import Trial

ID = "id"  # the file in a sweep's folder that names its start


def main(*, file: Path, resume: bool, apply: bool) -> None:
    """Run the trials of `file` that have not ended yet; print all of them, and the best.

    Args:
        file: the sweep file.
        resume: go on with an interrupted sweep, or show a finished one again.
        apply: write the best trial's params into params.yaml.

    Raises:
        ParamsError: the file, or params.yaml, is wrong.
        DataError, LockError: the stage `prepare` has left nothing to train on.
        SweepError: no cluster; nothing to resume, or something that would be lost; no trial that
            came to a result.
    """
    params.load_params(layout.PARAMS)
    document = params.read(layout.PARAMS)
    sweep = _Sweep(file, space.load(file, document), document)
    dataset = engine.prepared()
    ended = sweep.begin(resume=resume)
    recorder = Recorder(sweep.group)
    if len(ended) < sweep.asked.trials:
        sweep.run(dataset, ended, recorder)
    recorder.complete(ended, sweep.summary(ended), f"`{sweep.command} --resume` makes it up")

    finished = [trial for trial in ended if trial.status == "finished"]
    if ended:
        print(f"\n{ranking.table(ended, sweep.asked)}")
    if missing := sweep.asked.trials - len(ended):
        raise SweepError(
            f"{missing} of {sweep.asked.trials} trials have not ended; "
            f"`{sweep.command} --resume` goes on with them"
        )
    if not finished:
        raise SweepError(f"all {len(ended)} trials failed; the reasons are above")
    point = sweep.point(ranking.ranked(finished, sweep.asked)[0])
    print(f"\nthe best again: {ranking.command(point, sweep.asked.stage)}")
    if apply:
        text = layout.PARAMS.read_text()
        artifacts.write_text(layout.PARAMS, params_file.changed(text, point))
        print(f"written to {layout.PARAMS}")


@dataclass(frozen=True)
class _Sweep:
    """A sweep file, with what belongs to it."""

    file: Path
    asked: Sweep
    document: Mapping[str, Any]

    @cached_property
    def base(self) -> dict[str, Any]:
        """The content of params.yaml with what is set for all trials."""
        return params.with_values(self.document, self.asked.params)

    @cached_property
    def settings(self) -> Params:
        return params.checked(Params, self.base, str(self.file))

    @cached_property
    def work(self) -> Work:
        infinity = float("inf")
        return Work(
            stage=self.asked.stage,
            document=self.base,
            packages=environment.used(self.settings.runtime)["packages"],
            metric=self.asked.metric,
            worst=infinity if self.asked.minimized else -infinity,
            every_epoch=self.asked.early_stopping,
        )

    @cached_property
    def stage(self) -> lock.StageState:
        state = lock.current(self.asked.stage)
        # What params.yaml says of a key that is searched is no part of it: `--apply` changes that.
        common = params.with_values(self.base, dict.fromkeys(self.asked.search))
        return replace(state, params={key: common[key] for key in state.params}, outs={})

    @cached_property
    def folder(self) -> Path:
        """Where its trials are kept: named after all that a result depends on, so none is mixed."""
        inputs = [self.asked.model_dump(), self.stage.fingerprint, self.work.packages]
        key = hashlib.md5(json.dumps(inputs, sort_keys=True).encode())  # noqa: S324
        return layout.SWEEPS / f"{self.file.stem}-{key.hexdigest()[:8]}"

    @cached_property
    def command(self) -> str:
        """What was called."""
        default = self.file == layout.SWEEP_FILE
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

    def begin(self, *, resume: bool) -> list[Trial]:
        """The trials that have ended already, in a folder that is ready for more."""
        ended = trials.read(self.folder)
        if resume and not self.folder.exists():
            raise SweepError(
                f"{layout.SWEEPS}: found no sweep of {self.file} with the code, data and params of "
                f"now, expected one; without --resume it begins"
            )
        if not resume:
            if 0 < len(ended) < self.asked.trials:
                raise SweepError(
                    f"{self.folder}: found {len(ended)} of {self.asked.trials} trials, expected "
                    "none; --resume goes on with them, and removing the folder begins anew"
                )
            shutil.rmtree(self.folder, ignore_errors=True)
            now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
            artifacts.write_text(self.folder / ID, f"{self.folder.name}-{now}")
            ended = []
        return ended

    def run(self, dataset: Dataset, ended: list[Trial], recorder: Recorder) -> None:
        """Run the trials that `ended` lacks; add each to it, and keep and tell it, as it ends."""
        total = self.asked.trials
        width = len(str(total))

        def add(drawn: Mapping[str, Any], told: Mapping[str, Any]) -> None:
            chosen = space.point(self.asked, drawn)
            trial = Trial(number=len(ended) + 1, chosen=chosen, **told)
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
            label = trials.label(space.point(self.asked, drawn), self.asked.stage)
            print(f"given up: {label}: its worker was lost {engine.LOST + 1} times", flush=True)

        epochs = getattr(self.settings, self.asked.stage).epochs
        with engine.cluster(self.settings.runtime, dataset):
            engine.run(
                self.work,
                dataset,
                drawing.rest(self.asked, ended, self.work.worst),
                threads=self.settings.runtime.threads,
                scheduler=drawing.early_stopping(epochs) if self.asked.early_stopping else None,
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
