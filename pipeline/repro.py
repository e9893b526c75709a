"""`make repro`: what `dvc repro` does, with the three trainings side by side."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline import dvc_locks, layout, lock, report
from pipeline.errors import RepositoryError, StageFailed
from pipeline.forkserver import client as forkserver
from pipeline.forkserver.client import Process
from pipeline.params import load_params
from pipeline.tracking.live import UNTRACKED

WIDTH = max(map(len, layout.TRAININGS))
# DVC's advice, in place of which NEXT says what to do.
ADVICE = (
    "Generating lock file",
    "Updating lock file",
    "To track the changes",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config",
    "Use `dvc push`",
)
NEXT = f"""\
figures  {layout.FIGURES}/
curves   dvc plots show
runs     make ui, then http://127.0.0.1:5000
         make track adds those of stages that did not have to run here"""


def main(*, from_scratch: bool) -> None:
    """Run what is out of date; print the results and where to look next.

    Args:
        from_scratch: forget the state of interrupted trainings, which otherwise go on from it.

    Raises:
        LockError: dvc.lock has the marks of a merge conflict.
        ParamsError: before DVC has touched an out.
        RepositoryError: DVC would refuse to work here.
        StageFailed: a stage ended with an error, which it has told.
    """
    load_params(layout.PARAMS)
    _check_repository()
    with dvc_locks.alone():
        _repro(from_scratch=from_scratch)


def _repro(*, from_scratch: bool) -> None:
    if from_scratch:
        shutil.rmtree(layout.CHECKPOINTS, ignore_errors=True)
    if lock.mend():
        print(f"{layout.LOCK}: cut short when DVC was killed; DVC's run cache makes up for it")
    if released := dvc_locks.release_dead():
        print(released)
    untracked: list[str] = []
    with forkserver.serving("dvc"):
        if _out_of_date():
            with forkserver.serving("stages", "pipeline.tracking.follow"):
                untracked = _run_all()
        else:
            print("Everything is up to date.")
    print(f"\n{report.results()}\n\n{NEXT}")
    if untracked:
        names = ", ".join(line.split(maxsplit=1)[0] for line in untracked)
        _, reason = untracked[-1].split(maxsplit=1)
        print(f"{UNTRACKED}{names} {reason}", file=sys.stderr)


def _check_repository() -> None:
    """DVC asks for git, unless it is told to do without."""
    git = ("git", "rev-parse", "--git-dir")
    if subprocess.run(git, capture_output=True, check=False).returncode == 0:
        return
    setting = (sys.executable, "-m", "dvc", "config", "core.no_scm")
    done = subprocess.run(setting, capture_output=True, text=True, check=False)
    if done.stdout.strip().lower() != "true":
        raise RepositoryError(
            "found no git repository here, expected one; `git init` makes one, or "
            "`.venv/bin/dvc config --local core.no_scm true` does without"
        )


def _run_all() -> list[str]:
    """Run what is out of date; what was said of stages that MLflow missed."""
    _finish(_start("prepare", "--single-item", "prepare"))
    # One thread each is how two cores are used best. DVC holds its lock only while it reads
    # and writes its own files, not while a stage's command runs.
    untracked = _finish(
        *(_start(stage, "--single-item", stage, wait_for_lock=True) for stage in layout.TRAININGS)
    )
    # The whole pipeline: confirms the rest, and heals it.
    return untracked + _finish(_start("visualize"))


def _out_of_date() -> bool:
    if not all(layout.model(stage).exists() for stage in layout.TRAININGS):
        return True  # so DVC would say, in 0.3 s
    status = forkserver.start("dvc", "status", "--json", stdout=subprocess.PIPE)
    assert status.stdout is not None  # noqa: S101 - it is a pipe
    found = status.stdout.read()
    if status.wait():
        raise StageFailed("`dvc status` failed; its message is above")
    return bool(json.loads(found))


@dataclass(frozen=True)
class _Child:
    name: str
    process: Process
    untracked: list[str] = field(default_factory=list)

    def relay(self) -> None:
        """Print each line that says something, with who said it; keep back what MLflow missed."""
        for read in self.process.stdout or ():
            line = read.decode(errors="replace")
            if line.startswith(UNTRACKED):
                self.untracked.append(line.removeprefix(UNTRACKED).strip())
            elif line.strip() and not line.startswith(ADVICE):
                print(f"{self.name:<{WIDTH}} | {line}", end="", flush=True)


def _start(name: str, *arguments: str, wait_for_lock: bool = False) -> _Child:
    options = ["--wait-for-lock"] if wait_for_lock else []
    process = forkserver.start(
        *("dvc", *options, "repro", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return _Child(name, process)


def _finish(*children: _Child) -> list[str]:
    """Wait until all have ended; return what they said of stages that MLflow missed."""
    with ThreadPoolExecutor(len(children)) as pool:
        list(pool.map(_Child.relay, children))  # an exception in a thread comes out here
    for child in children:
        child.process.wait()
    if failed := [child.name for child in children if child.process.returncode]:
        raise StageFailed(f"{', '.join(failed)} failed; the reason is above")
    return [line for child in children for line in child.untracked]
