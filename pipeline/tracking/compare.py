"""`make compare`: the tracked runs side by side."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline import artifacts, layout, run_table
from pipeline.errors import TrackingError
from pipeline.figures import rate, style
from pipeline.tracking import results
from pipeline.tracking.store import Store, told

TRIALS = ("sweep.", "crossval.")  # what tags of such runs begin with
FORMS = {"text": run_table.as_text, "md": run_table.as_markdown, "json": run_table.as_json}


def main(
    *,
    stage: str | None,
    experiment: str | None,
    tag: tuple[str, str] | None,
    count: int | None,
    form: str,
    figure: Path | None,
) -> None:
    """Print the runs that pass every filter, newest first.

    Args:
        stage: only its runs; by default those of all trainings.
        experiment: only those of the DVC experiment of this name.
        tag: only those that have this tag with this value.
        count: the newest ones alone, so many.
        form: which of `FORMS`.
        figure: where to draw the autoencoders among them.

    Raises:
        TrackingError: the store can't be reached, or there is no autoencoder to draw.
    """
    stages = [stage] if stage else layout.TRAININGS
    tags = dict([tag] if tag else [])
    if experiment:
        tags["dvc.experiment"] = experiment
    with told():
        store = Store(make=False)
        passing = (run for run in results.finished_runs(store) if _passes(run, stages, tags))
        runs = list(islice(passing, count))
        points = [results.point(store, run) for run in runs if _autoencoder(run)] if figure else []
    if form == "text" and not runs:
        print("no finished run passes; `make track` makes those of dvc.lock")
    else:
        print(FORMS[form]([results.tracked(run) for run in runs]))
    if figure:
        if not points:
            raise TrackingError(f"{figure}: found no autoencoder among the runs, expected some")
        with style.applied(usetex=False):
            artifacts.write_figure(figure, rate.rate_distortion(points))


def _passes(run: Run, stages: Collection[str], tags: dict[str, str]) -> bool:
    found = run.data.tags
    # A trial is one of many, and shown only among its own: to who asks for a tag of them.
    if MLFLOW_PARENT_RUN_ID in found and not any(key.startswith(TRIALS) for key in tags):
        return False
    return found.get("dvc.stage") in stages and tags.items() <= found.items()


def _autoencoder(run: Run) -> bool:
    return "code_size" in run.data.metrics
