"""The commands behind the Makefile: `python -m pipeline <command>`.

A command's module is imported when it is called, since MLflow alone takes 2 s.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import errors, layout


def main(arguments: list[str] | None = None) -> None:
    """Run the command that `arguments`, by default the command line's, name."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "promote" and options.to and not options.stage:
        parser.error("promote --to needs --stage: each model numbers its own versions")

    with errors.reported(), _read():
        match options.command:
            case "repro":
                from pipeline import repro as reproduction

                reproduction.main(from_scratch=options.from_scratch)
            case "track":
                from pipeline.tracking import track

                track.main()
            case "verify":
                from pipeline import verify as verification

                verification.main(
                    stage=options.stage, twice=options.twice, tolerance=options.tolerance
                )
            case "ui":
                from pipeline.tracking import ui as mlflow_ui

                mlflow_ui.main(options.host, options.port)
            case "compare":
                from pipeline.tracking import compare as comparison

                comparison.main(
                    stage=options.stage,
                    experiment=options.experiment,
                    tag=options.tag,
                    count=options.count,
                    form=options.form,
                    figure=options.figure,
                )
            case "promote":
                from pipeline.tracking import promote as promotion

                promotion.main(stage=options.stage, to=options.to, dry_run=options.dry_run)
            case "serve":
                from pipeline.tracking import serve as serving

                serving.main(stage=options.stage, host=options.host, port=options.port)
            case "sweep":
                from pipeline.sweeps import sweep as sweeping

                sweeping.main(file=options.file, resume=options.resume, apply=options.apply)
            case "crossval":
                from pipeline.sweeps import crossval as validation

                validation.main(stage=options.stage, folds=options.folds)


@contextmanager
def _read() -> Iterator[None]:
    """End without a word, as other programs do, when nobody reads what is printed any more."""
    try:
        yield
        print(end="", flush=True)  # to none, if standard output is closed
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    repro = commands.add_parser("repro", help="run what is out of date, and show the results")
    repro.add_argument(
        "--from-scratch",
        action="store_true",
        help="begin interrupted trainings anew instead of going on with them",
    )
    commands.add_parser("track", help="make the MLflow runs that are missing for dvc.lock")
    verify = commands.add_parser("verify", help="rebuild HEAD and hold every out against dvc.lock")
    verify.add_argument("--stage", help="judge this stage alone")
    verify.add_argument("--twice", action="store_true", help="compare two rebuilds instead")
    verify.add_argument(
        "--tolerance",
        type=float,
        nargs="?",
        const=1e-3,
        help="for other hardware: pass if history and metrics agree within it (%(const)s)",
    )
    ui = commands.add_parser("ui", help="open the MLflow UI on this machine")
    ui.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    ui.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    compare = commands.add_parser("compare", help="show the tracked runs side by side")
    compare.add_argument("--stage", choices=(*layout.TRAININGS, "visualize"), help="its runs alone")
    compare.add_argument("--experiment", metavar="NAME", help="those of this DVC experiment alone")
    compare.add_argument("--tag", type=_tag, metavar="KEY=VALUE", help="those tagged so alone")
    compare.add_argument("--count", type=_count, metavar="N", help="the newest N alone")
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--md", dest="form", action="store_const", const="md", help="as Markdown")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="as JSON")
    compare.add_argument(
        "--figure", type=Path, metavar="PATH", help="draw the autoencoders' errors to this PNG, too"
    )
    compare.set_defaults(form="text")
    promote = commands.add_parser("promote", help="make better models of dvc.lock champions")
    promote.add_argument("--stage", choices=layout.TRAININGS, help="promote its model alone")
    promote.add_argument(
        "--to", type=_count, metavar="VERSION", help="make this one champion by hand; needs --stage"
    )
    promote.add_argument("--dry-run", action="store_true", help="write nothing, tell what would be")
    serve = commands.add_parser("serve", help="serve a champion over HTTP on this machine")
    serve.add_argument(
        "--stage", choices=layout.TRAININGS, default="train_classifier", help="(%(default)s)"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=int, default=5001, help="port to listen on (%(default)s)")
    sweep = commands.add_parser("sweep", help="train over a search space, on one machine or many")
    sweep.add_argument(
        "file", type=Path, nargs="?", default=layout.SWEEP_FILE, help="what to try (%(default)s)"
    )
    sweep.add_argument("--resume", action="store_true", help="go on with an interrupted sweep")
    sweep.add_argument("--apply", action="store_true", help="write the best params to params.yaml")
    crossval = commands.add_parser("crossval", help="measure a training on each part of its images")
    crossval.add_argument("--stage", choices=layout.TRAININGS, required=True, help="which")
    crossval.add_argument("--folds", type=_folds, default=5, metavar="K", help="(%(default)s)")
    return parser


def _folds(text: str) -> int:
    if (count := _count(text)) < 2:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 2 or more")
    return count


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected KEY=VALUE")
    return key, value
