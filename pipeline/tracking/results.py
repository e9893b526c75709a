"""What the finished runs in the store say, as plain values."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.tracking.run_table import TrackedRun
from pipeline.tracking.store import Store
from pipeline.training.declaration import trainings

if TYPE_CHECKING:
    from pipeline.figures.rate_distortion import Point

TRIALS = ("sweep.", "crossval.")  # what tags of such runs begin with


def finished_runs(store: Store, stages: Collection[str], tags: Mapping[str, str]) -> Iterator[Run]:
    """Every finished run of `stages` that has `tags`, newest first.

    A trial is one of many, and compared with its own alone: by a tag of theirs.
    """
    trials = any(key.startswith(TRIALS) for key in tags)
    for run in store.search("attributes.status = 'FINISHED'"):
        found = run.data.tags
        if MLFLOW_PARENT_RUN_ID in found and not trials:
            continue
        if found.get("dvc.stage") in stages and tags.items() <= found.items():
            yield run


def tracked(run: Run) -> TrackedRun:
    """What `compare` shows of `run`."""
    tags, logged = run.data.tags, run.data.metrics
    stage = tags["dvc.stage"]
    training = trainings().get(stage)
    declared = training.metrics if training else ()
    return TrackedRun(
        stage=stage,
        kind=training.output if training else stage,
        declared=declared,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        commit=tags.get("git.commit", ""),
        dirty=tags.get("git.dirty") == "true",
        fingerprint=tags.get("dvc.fingerprint", ""),
        experiment=tags.get("dvc.experiment", ""),
        params=dict(run.data.params),
        metrics={
            metric.name: int(logged[metric.name]) if metric.whole else logged[metric.name]
            for metric in declared
            if metric.name in logged
        },
    )


def point(store: Store, run: Run) -> "Point":
    """What the figure of the autoencoders shows of `run`, which is of one."""
    from pipeline.figures.rate_distortion import Point

    metrics = run.data.metrics
    # The epochs of a training that was interrupted are not all there; their mean is.
    times = store.client.get_metric_history(run.info.run_id, "epoch_seconds")
    seconds = fmean(time.value for time in times) * metrics["epochs"] if times else None
    title = trainings()[run.data.tags["dvc.stage"]].title
    return Point(title, metrics["code_size"], metrics["test_bce"], seconds)
