"""Cross-validation: a training measured on each part of its images, trained on all the others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any

from pipeline import artifacts, environment, layout, lock, merit, params, tables
from pipeline.errors import SweepError
from pipeline.sweeps import drawing, engine
from pipeline.sweeps.recorder import Recorder
from pipeline.sweeps.trial import FOLD, Work
from pipeline.tracking.trial_runs import Group, Summary
from pipeline.trials import Trial


def main(*, stage: str, folds: int) -> None:
    """Train once a fold; print and write each metric of each fold, their mean and their spread.

    Args:
        stage: whose training.
        folds: how many parts the training images are dealt out to.

    Raises:
        ParamsError: params.yaml is wrong.
        DataError, LockError: the stage `prepare` has left nothing to train on.
        SweepError: no cluster, or a fold has no result.
    """
    settings = params.load_params(layout.PARAMS)
    dataset = engine.prepared()
    work = Work(
        stage=stage,
        document=params.read(layout.PARAMS),
        packages=environment.used(settings.runtime)["packages"],
        folds=folds,
    )
    name = f"crossval-{stage}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    state = replace(lock.current(stage), outs={})
    command = f"python -m pipeline crossval --stage {stage} --folds {folds}"
    recorder = Recorder(Group("crossval", name, state, {"folds": folds}, None, command))
    ended: list[Trial] = []

    def add(drawn: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        # A fold's number is its own, whichever ends first.
        trial = Trial(number=drawn[FOLD], chosen=drawn, **told)
        ended.append(trial)
        recorder.add(trial)
        figures = trial.reason or f"{trial.seconds:.1f} s"
        print(f"fold {drawn[FOLD]}/{folds}  {trial.status}  {figures}", flush=True)

    def lose(drawn: Mapping[str, Any]) -> None:
        print(f"fold {drawn[FOLD]}/{folds}  given up: its workers were lost", flush=True)

    with engine.cluster(settings.runtime, dataset):
        engine.run(
            work,
            dataset,
            drawing.listed([{FOLD: fold} for fold in range(1, folds + 1)]),
            threads=settings.runtime.threads,
            ended=add,
            lost=lose,
        )
    ended.sort(key=lambda trial: trial.number)
    finished = [trial for trial in ended if trial.status == "finished"]
    complete = len(finished) == folds
    found = figures_of(finished) if complete else {}
    rows = [{FOLD: trial.number} | trial.metrics for trial in ended]
    means = {key: value["mean"] for key, value in found.items() if value["mean"] is not None}
    recorder.complete(
        ended,
        Summary(means, f"means over {folds} folds", rows, complete),
        "run it again for a run of it",
    )
    if not complete:
        raise SweepError(f"{folds - len(finished)} of {folds} folds have no result, expected all")
    path = layout.CROSSVAL / f"{stage}.json"
    content = {"stage": stage, "folds": folds, "seed": settings.seed, "metrics": found}
    artifacts.write_text(path, json.dumps(content, indent=2))
    print(f"\n{_table(found)}\n\nwritten to {path}")


def figures_of(finished: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """Each metric's value in each fold, their mean and their standard deviation.

    The latter two are None where a fold has no value: its target was not reached, say.
    """
    found = {}
    for name in finished[0].metrics:
        values = [trial.metrics[name] for trial in finished]
        known = None not in values
        found[name] = {
            "mean": round(fmean(values), artifacts.DECIMALS) if known else None,
            "standard_deviation": round(stdev(values), artifacts.DECIMALS) if known else None,
            "folds": values,
        }
    return found


def _table(found: Mapping[str, Mapping[str, Any]]) -> str:
    heading = ("metric", "mean", "standard deviation", "least", "most")
    lines = [
        (
            name,
            f"{figures['mean']:.4f}",
            f"{figures['standard_deviation']:.4f}",
            f"{min(figures['folds']):.4f}",
            f"{max(figures['folds']):.4f}",
        )
        for name, figures in found.items()
        if name in merit.HIGHER | merit.LOWER and figures["mean"] is not None
    ]
    return tables.table([heading, *lines])
