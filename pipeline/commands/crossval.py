"""Cross-validation: a training measured on each part of its images, trained on all the others."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any

from pipeline import params
from pipeline.commands import arguments
from pipeline.errors import SweepError
from pipeline.outs import artifacts, dvc_lock, environment, paths, tables
from pipeline.sweeps import cluster, sampling
from pipeline.sweeps.recorder import Recorder
from pipeline.sweeps.worker import FOLD, Work
from pipeline.tracking.trial_runs import Group, Summary
from pipeline.tracking.trials import Trial
from pipeline.training.declaration import Training, trainings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument("--stage", choices=list(trainings()), required=True, help="which")
    parser.add_argument("--folds", type=_folds, default=5, metavar="K", help="(%(default)s)")


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
    settings = params.load_params(params.PARAMS)
    dataset = cluster.prepared()
    work = Work(
        stage=stage,
        document=params.read(params.PARAMS),
        environment=environment.decisive(settings.runtime),
        folds=folds,
    )
    name = f"crossval-{stage}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    state = replace(dvc_lock.current(stage), outs={})
    command = f"python -m pipeline crossval --stage {stage} --folds {folds}"
    group = Group("crossval", name, state, {"folds": folds}, None, command)
    ended: list[Trial] = []

    def add(drawn: Mapping[str, Any], report: Mapping[str, Any]) -> None:
        # A fold's number is its own, whichever ends first.
        trial = Trial(number=drawn[FOLD], chosen=drawn, **report)
        ended.append(trial)
        recorder.add(trial)
        figures = trial.reason or f"{trial.seconds:.1f} s"
        print(f"fold {drawn[FOLD]}/{folds}  {trial.status}  {figures}", flush=True)

    def lose(drawn: Mapping[str, Any]) -> None:
        print(f"fold {drawn[FOLD]}/{folds}  given up: its workers were lost", flush=True)

    with cluster.cluster(settings.runtime, dataset):
        recorder = Recorder(group)  # not before there is a cluster to make what it records
        cluster.run(
            work,
            dataset,
            sampling.listed([{FOLD: fold} for fold in range(1, folds + 1)]),
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
    path = paths.CROSSVAL / f"{stage}.json"
    content = {"stage": stage, "folds": folds, "seed": settings.seed, "metrics": found}
    artifacts.write_text(path, json.dumps(content, indent=2))
    print(f"\n{_table(found, trainings()[stage])}\n\nwritten to {path}")


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


def _table(found: Mapping[str, Mapping[str, Any]], training: Training) -> str:
    heading = ("metric", "mean", "standard deviation", "least", "most")
    lines = [
        (
            metric.name,
            f"{figures['mean']:.4f}",
            f"{figures['standard_deviation']:.4f}",
            f"{min(figures['folds']):.4f}",
            f"{max(figures['folds']):.4f}",
        )
        for metric in training.metrics
        if metric.better and (figures := found[metric.name])["mean"] is not None
    ]
    return tables.table([heading, *lines])


def _folds(text: str) -> int:
    if (count := arguments.count(text)) < 2:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 2 or more")
    return count
