"""`python -m pipeline predict`: a champion's answers to images, as a table or as arrays."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import arguments
from pipeline.errors import StorageError
from pipeline.outs import runtime
from pipeline.params import PARAMS, load_params
from pipeline.prediction import ENDINGS
from pipeline.training.declaration import trainings

if TYPE_CHECKING:
    from pipeline.prediction.files import Columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="INPUT", help="a file or a folder of images"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help=", ".join(ENDINGS)
    )
    parser.add_argument(
        "--stage", choices=list(trainings()), default="train_classifier", help="(%(default)s)"
    )


def main(*, inputs: list[Path], output: Path, stage: str) -> None:
    """Answer for every image of `inputs`, in whatever form `prepare` reads, and write `output`.

    Args:
        inputs: files or folders; of those with parts, all parts are taken. `to_grey` and
            `transpose` of params.yaml hold for them, too.
        output: the table or the arrays; nothing may be there.
        stage: the training whose champion answers.

    Raises:
        DataError: an input can't be read, or has images of another size.
        LockError: the champion is linked, and DVC has its file no more.
        ParamsError: params.yaml is wrong.
        PromotionError: the model has no champion.
        StorageError: there is something at `output`, it is in a folder of `inputs`, has another
            ending than those of `ENDINGS`, or can't be written.
        TrackingError: the store can't be reached, or fails.
    """
    params = load_params(PARAMS)
    if output.suffix not in ENDINGS:
        raise StorageError(
            f"{output}: found the ending '{output.suffix}', expected {', '.join(ENDINGS)}"
        )
    if os.path.lexists(output):  # which, unlike `exists`, has no error; a link is something, too
        raise StorageError(
            f"{output}: found something there, expected nothing: it is kept as it is"
        )
    arguments.check_apart(output, inputs, "--output")
    runtime.pin(params.runtime)

    with runtime.lean_import(used=("pandas",)):
        from pipeline.data.files import readers
        from pipeline.outs import artifacts
        from pipeline.prediction import files
        from pipeline.prediction.answers import answers
        from pipeline.tracking.champion import Champion
        from pipeline.tracking.store import Store, faults_reported

    sources = [readers.source(path) for path in inputs]
    with faults_reported():
        store = Store(make=False)
        runtime.start_tensorflow(params.seed, params.runtime)
        champion = Champion.load(store, stage)
    print(f"{champion.name} version {champion.version}")
    count = 0

    def batches(show: Callable[[int], None]) -> "Iterator[Columns]":
        nonlocal count
        for source in sources:
            for columns in answers(champion.answer, source, params.section("prepare")):
                yield columns
                count += len(columns["input"])
                show(count)

    with artifacts.atomic(output) as partial, _progress() as show:
        files.FORMS[output.suffix](partial, batches(show))
    print(f"{count:,} images: {output}")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """What shows on a terminal how many images are answered, in a line that ends with the block."""
    terminal = sys.stderr.isatty()

    def show(count: int) -> None:
        if terminal:
            print(f"\r{count:,} images", end="", file=sys.stderr, flush=True)

    show(0)
    try:
        yield show
    finally:
        if terminal:
            print(file=sys.stderr)
