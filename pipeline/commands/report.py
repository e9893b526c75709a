"""`make report`: the results, and what changed in them, as one page that needs no network."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from pipeline.outs import artifacts
from pipeline.reproduction import repository
from pipeline.training.declaration import trainings

DEFAULT = Path("report.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "--against", metavar="REV", help="a commit, branch, tag or DVC experiment to compare with"
    )
    parser.add_argument(
        "--output", type=Path, default=DEFAULT, metavar="FILE", help="(%(default)s)"
    )


def main(*, against: str | None, output: Path) -> None:
    """Write the page, of what dvc.lock names here, to `output`.

    Args:
        against: the revision that it is compared with.
        output: the file, written anew.

    Raises:
        LockError: there are no results, here or there.
        ParamsError: params.yaml can't be read, or lacks what dvc.yaml names.
        RepositoryError: there is no git repository here, or no such revision in it.
        StorageError: `output` can't be written.
    """
    from pipeline.report import revisions
    from pipeline.report.page import page

    repository.check()
    with ExitStack() as stack:
        now = revisions.working_tree()
        was = stack.enter_context(revisions.committed(against)) if against else None
        content = page(now, was, trainings())
    artifacts.write_text(output, content)
    print(f"{output}: results{f', against {against}' if against else ''}")
