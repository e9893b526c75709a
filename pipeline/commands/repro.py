"""`make repro`: what `dvc repro` does, with stages side by side."""

import argparse
import shutil
import sys

from pipeline.outs import dvc_lock, environment, instruction_sets, paths
from pipeline.params import PARAMS, Runtime, load_params
from pipeline.reproduction import dvc_locks, repository, results_table, scheduler
from pipeline.tracking.live import UNTRACKED

NEXT = f"""\
figures  {paths.FIGURES}/
curves   dvc plots show
runs     make ui, then http://127.0.0.1:5000
         make track adds those of stages that did not have to run here"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="begin interrupted trainings anew instead of going on with them",
    )


def main(*, from_scratch: bool) -> None:
    """Run what is out of date; print the results and where to look next.

    Args:
        from_scratch: forget the state of interrupted trainings, which otherwise go on from it.

    Raises:
        LockError: dvc.lock or environment.json has the marks of a merge conflict.
        MachineError: TensorFlow can't be imported on this CPU.
        ParamsError: before DVC has touched an out.
        RepositoryError: DVC would refuse to work here.
        StageFailed: a stage ended with an error, which it has reported.
    """
    settings = load_params(PARAMS).runtime
    instruction_sets.check()
    repository.check()
    with dvc_locks.alone():
        _repro(settings, from_scratch=from_scratch)


def _repro(settings: Runtime, *, from_scratch: bool) -> None:
    if from_scratch:
        shutil.rmtree(paths.CHECKPOINTS, ignore_errors=True)
    if dvc_lock.mend():
        print(f"{paths.LOCK}: cut short when DVC was killed; DVC's run cache makes up for it")
    if released := dvc_locks.release_dead():
        print(released)
    dvc_locks.wait_for_living()
    untracked: list[str] = []
    record = environment.recorded()
    if needs := scheduler.plan():
        if kind := environment.foreign(record, settings):
            here = environment.described(environment.used(settings))
            print(f"note: dvc.lock is of {kind}; the bytes made here are those of {here}")
        untracked = scheduler.run(needs)
    else:
        print("Everything is up to date.")
    print(f"\n{results_table.results()}\n\n{NEXT}")
    if untracked:
        names = ", ".join(line.split(maxsplit=1)[0] for line in untracked)
        _, reason = untracked[-1].split(maxsplit=1)
        print(f"{UNTRACKED}{names} {reason}", file=sys.stderr)
