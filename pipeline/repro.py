"""`make repro`: what `dvc repro` does, with the three trainings side by side."""

import json
import subprocess
import sys
from dataclasses import dataclass
from threading import Thread

from pipeline import layout, report
from pipeline.errors import StageFailed
from pipeline.params import load_params

DVC = (sys.executable, "-m", "dvc")
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


def main() -> None:
    """Run what is out of date; print the results and where to look next.

    Raises:
        ParamsError: before DVC has touched an out.
        StageFailed: a stage ended with an error, which it has told.
    """
    load_params(layout.PARAMS)
    if _out_of_date():
        _finish(_start("prepare", "--single-item", "prepare"))
        # One thread each is how two cores are used best. DVC holds its lock only while it reads
        # and writes its own files, not while a stage's command runs.
        _finish(
            *(
                _start(stage, "--single-item", stage, wait_for_lock=True)
                for stage in layout.TRAININGS
            )
        )
        _finish(_start("visualize"))  # the whole pipeline: confirms the rest, and heals it
    else:
        print("Everything is up to date.")
    print(f"\n{report.results()}\n\n{NEXT}")


def _out_of_date() -> bool:
    status = subprocess.run([*DVC, "status", "--json"], stdout=subprocess.PIPE, check=False)
    if status.returncode:
        raise StageFailed("`dvc status` failed; its message is above")
    return bool(json.loads(status.stdout))


@dataclass(frozen=True)
class _Child:
    name: str
    process: subprocess.Popen[str]
    relay: Thread


def _start(name: str, *arguments: str, wait_for_lock: bool = False) -> _Child:
    options = ["--wait-for-lock"] if wait_for_lock else []
    process = subprocess.Popen(
        [*DVC, *options, "repro", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    relay = Thread(target=_relay, args=(name, process))
    relay.start()
    return _Child(name, process, relay)


def _finish(*children: _Child) -> None:
    for child in children:
        child.process.wait()
        child.relay.join()
    if failed := [child.name for child in children if child.process.returncode]:
        raise StageFailed(f"{', '.join(failed)} failed; the reason is above")


def _relay(name: str, process: subprocess.Popen[str]) -> None:
    """Print each line that says something, with who said it."""
    for line in process.stdout or ():
        if line.strip() and not line.startswith(ADVICE):
            print(f"{name:<{WIDTH}} | {line}", end="", flush=True)
