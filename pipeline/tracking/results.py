"""What the finished runs in the store say, as plain values."""

from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import fmean

from mlflow.entities import Run

from pipeline.figures.rate import Point
from pipeline.run_table import TrackedRun, final_metrics
from pipeline.tracking.store import Store


def finished_runs(store: Store) -> Iterator[Run]:
    """Every finished run, newest first."""
    return store.search("attributes.status = 'FINISHED'")


def tracked(run: Run) -> TrackedRun:
    """What `compare` shows of `run`."""
    tags = run.data.tags
    return TrackedRun(
        stage=tags["dvc.stage"],
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        commit=tags.get("git.commit", ""),
        dirty=tags.get("git.dirty") == "true",
        fingerprint=tags.get("dvc.fingerprint", ""),
        experiment=tags.get("dvc.experiment", ""),
        params=dict(run.data.params),
        metrics=final_metrics(tags["dvc.stage"], run.data.metrics),
    )


def point(store: Store, run: Run) -> Point:
    """What the figure of the autoencoders shows of `run`."""
    metrics = run.data.metrics
    # The epochs of a training that was interrupted are not all there; their mean is.
    times = store.client.get_metric_history(run.info.run_id, "epoch_seconds")
    seconds = fmean(time.value for time in times) * metrics["epochs"] if times else None
    name = run.data.tags["dvc.stage"].removeprefix("train_").removesuffix("_ae")
    return Point(name, metrics["code_size"], metrics["test_bce"], seconds)
