"""`make compare`: the tracked runs side by side."""

import argparse
from itertools import islice
from pathlib import Path

from pipeline.commands import arguments
from pipeline.errors import TrackingError
from pipeline.figures import rate_distortion, style
from pipeline.outs import artifacts
from pipeline.tracking import results, run_table, runs
from pipeline.tracking.store import Store, faults_reported
from pipeline.training.declaration import trainings

FORMS = {"text": run_table.as_text, "md": run_table.as_markdown, "json": run_table.as_json}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument("--stage", choices=runs.tracked_stages(), help="its runs alone")
    parser.add_argument("--experiment", metavar="NAME", help="those of this DVC experiment alone")
    parser.add_argument("--tag", type=_tag, metavar="KEY=VALUE", help="those tagged so alone")
    parser.add_argument("--count", type=arguments.count, metavar="N", help="the newest N alone")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", dest="form", action="store_const", const="md", help="as Markdown")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="as JSON")
    parser.add_argument(
        "--figure", type=Path, metavar="PATH", help="draw the autoencoders' errors to this PNG, too"
    )
    parser.set_defaults(form="text")


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
    known = trainings()
    stages = [stage] if stage else list(known)
    tags = dict([tag] if tag else [])
    if experiment:
        tags["dvc.experiment"] = experiment
    with faults_reported():
        store = Store(make=False)
        found = list(islice(results.finished_runs(store, stages, tags), count))
        drawn = [run for run in found if "code_size" in run.data.metrics] if figure else []
        drawn.sort(key=lambda run: stages.index(run.data.tags["dvc.stage"]))
        points = [results.point(store, run) for run in drawn]
    if form == "text" and not found:
        print("no finished run passes; `make track` makes those of dvc.lock")
    else:
        print(FORMS[form]([results.tracked(run) for run in found]))
    if figure:
        if not points:
            raise TrackingError(f"{figure}: found no autoencoder among the runs, expected some")
        with style.applied(usetex=False):
            artifacts.write_figure(figure, rate_distortion.rate_distortion(points))


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected KEY=VALUE")
    return key, value
