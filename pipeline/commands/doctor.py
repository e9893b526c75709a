"""`make doctor`: what this machine and its settings mean for the pipeline, one line each."""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil

from pipeline.errors import UserError
from pipeline.outs import dvc_lock, environment, instruction_sets, machine, paths, variables
from pipeline.params import PARAMS, load_params
from pipeline.reproduction import dvc_locks, repository

GIB = 2**30
SCARCE = 2  # GiB: TensorFlow, data, cache and three trainings take less
PINNED = re.compile(r"^([\w.-]+)==([\w.+-]+)", re.MULTILINE)  # a line of requirements.lock
# Of the variables that are kept, those of programs that the pipeline starts or asks.
KEPT = re.compile(r"(MLFLOW|DVC|RAY|GIT|AWS|PYTHON|LD|TF|KERAS)_?\w*|SHELL|TMPDIR")
# The name of a variable, or of a setting of DVC, whose value lets others in.
SECRET = re.compile("PASSWORD|PASSPHRASE|TOKEN|SECRET|KEY|CONNECTION_STRING", re.IGNORECASE)


class Finding(NamedTuple):
    """What was found, and what mends it; nothing does where nothing is wrong."""

    subject: str
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def main() -> None:
    """Print a line for each thing that is wrong, then for each that is not.

    Raises:
        SystemExit: something is wrong.
    """
    findings = [finding for check, remedy in CHECKS.items() for finding in _made(check, remedy)]
    wrong = [finding for finding in findings if finding.remedy]
    for finding in wrong:
        print(f"WRONG  {finding.subject}: {finding.text}; {finding.remedy}")
    for finding in findings:
        if not finding.remedy:
            print(f"fine   {finding.subject}: {finding.text}")
    sys.exit(bool(wrong))


def _made(check: Callable[[], Iterator[Finding]], remedy: str) -> Iterator[Finding]:
    """What `check` finds; `remedy` is for an error that names none itself."""
    try:
        yield from check()
    except UserError as error:
        for line in str(error).splitlines():
            text, _, named = line.partition("; ")
            yield Finding(check.__name__.strip("_").replace("_", " "), text, named or remedy)


def _machine() -> Iterator[Finding]:
    cores, memory = machine.cores(), psutil.virtual_memory().total / GIB
    found = f"{machine.kind()}, {machine.cpu_name()}"
    yield Finding("machine", f"{found}, {cores} cores, {memory:.0f} GiB of memory")


def _instruction_set() -> Iterator[Finding]:
    instruction_sets.check()
    settings = load_params(PARAMS).runtime
    allowed = ", ".join(instruction_sets.allowed(settings)) or "no cap"
    if kind := environment.foreign(environment.recorded(), settings):
        allowed += f"; the recorded results are of {kind}: `make verify` judges by tolerance"
    yield Finding("instruction set", f"runtime.cpu_isa is {settings.cpu_isa}: {allowed}")


def _python() -> Iterator[Finding]:
    own = paths.root() / ".venv"
    found = f"{platform.python_version()} in {sys.prefix}"
    if Path(sys.prefix).resolve() == own.resolve():
        yield Finding("Python", found)
    else:
        yield Finding("Python", found, "`make doctor` asks that of the project, in .venv")


def _packages() -> Iterator[Finding]:
    """Those of requirements.lock that are installed; it lists more than a platform needs."""
    pinned = PINNED.findall((paths.root() / "requirements.lock").read_text())
    other = []
    for name, wanted in pinned:
        try:
            if (found := version(name)) != wanted:
                other.append(f"{name} {found} for {wanted}")
        except PackageNotFoundError:
            continue
    if other:
        found = ", ".join(other[:5]) + (", ..." if len(other) > 5 else "")
        yield Finding(
            "packages",
            f"not those of requirements.lock: {found}",
            "`rm .venv/.complete; make repro`",
        )
    else:
        yield Finding("packages", "those of requirements.lock")


def _git() -> Iterator[Finding]:
    repository.check()
    changed = _said("git", "status", "--porcelain").splitlines()
    commit = _said("git", "rev-parse", "--short", "HEAD") or "no commit yet"
    yield Finding("git", f"{_said('git', '--version')}; at {commit}, {len(changed)} files changed")


def _dvc() -> Iterator[Finding]:
    settings = []
    for line in _said(sys.executable, "-m", "dvc", "config", "--list").splitlines():
        name, _, value = line.partition("=")
        settings.append(f"{name}={_shown(name.rpartition('.')[2], value)}")
    yield Finding("DVC", f"{version('dvc')}, with {' '.join(settings) or 'no settings'}")


def _params() -> Iterator[Finding]:
    load_params(PARAMS)
    yield Finding("params.yaml", "valid; `python -m pipeline params` lists it")


def _results() -> Iterator[Finding]:
    stages = dvc_lock.names()
    data = dvc_lock.locked(stages[0])
    missing = [path for path in data.deps if not Path(path).exists()]
    if missing:
        yield Finding(
            "data", f"{missing[0]}: not found", "`git checkout`, or `dvc pull`, brings it"
        )
    used, record = environment.used(load_params(PARAMS).runtime), environment.recorded()
    # Another kind of machine is expected to differ, and is named with the instruction set.
    differing = [key for key in record if key not in environment.KIND and record[key] != used[key]]
    if differing:
        yield Finding(
            "results",
            f"of {len(stages)} stages in dvc.lock, made with other {', '.join(differing)}",
            "their bytes may differ from what is made here; `make verify` says whether they do",
        )
    else:
        yield Finding("results", f"of {len(stages)} stages in dvc.lock")


def _locks() -> Iterator[Finding]:
    holders = dvc_locks.holders_of()
    for number, holder in holders.items():
        state = "at work" if holder.lives else "dead: `make repro` releases it"
        yield Finding("locks", f"held by `{holder.command}` (process {number}), which is {state}")
    if not holders:
        yield Finding("locks", "held by nobody")
    if begun := sorted(path.name for path in paths.CHECKPOINTS.glob("*")):
        yield Finding(
            "trainings", f"interrupted: {', '.join(begun)}; `make repro` goes on with them"
        )


def _store() -> Iterator[Finding]:
    from pipeline.tracking import address

    uri = address.redacted(address.tracking_uri())
    file = address.database(address.tracking_uri())
    if file and not file.exists():
        yield Finding("MLflow store", f"{uri}: none yet; `make repro` or `make track` makes it")
        return

    from pipeline.tracking.store import Store, faults_reported  # which takes 2 s

    with faults_reported():
        store = Store(make=False)
        runs = store.client.search_runs([store.experiment_id], max_results=1000)
    yield Finding("MLflow store", f"{uri}: {len(runs)} runs")


def _disk() -> Iterator[Finding]:
    temporary = Path(tempfile.gettempdir())
    for name, path, way in (
        ("repository", Path(), "move .dvc/cache to another disk: `dvc cache dir --local` names it"),
        ("temporary files", temporary, "name another folder by TMPDIR"),
    ):
        free = shutil.disk_usage(path).free / GIB
        text = f"{free:.1f} GiB free in {path.resolve()}"
        yield Finding(name, text, f"make room there, or {way}" if free < SCARCE else "")


def _variables() -> Iterator[Finding]:
    found = sorted(os.environ.items())  # before what is imported later adds its own
    pins = variables.pins(load_params(PARAMS).runtime)
    for name, value in found:
        if name in pins:
            yield Finding("variable", f"{name}={value}: stages set it to {pins[name]}")
        elif name in variables.DROPPED:
            yield Finding("variable", f"{name}={value}: stages drop it: {variables.DROPPED[name]}")
        elif KEPT.fullmatch(name):
            yield Finding("variable", f"{name}={_shown(name, value)}: kept")


def _shown(name: str, value: str) -> str:
    """`value` without what lets others in: a bug report begins with it."""
    from pipeline.tracking import address

    return "..." if SECRET.search(name) else address.redacted(value)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


CHECKS = {
    _variables: "",
    _machine: "",
    _instruction_set: "mend params.yaml",
    _python: "",
    _packages: "",
    _git: "git's own words say what to do",
    _dvc: "",
    _params: "mend it there",
    _results: "`make repro` makes them",
    _locks: "",
    _store: "start it, or unset MLFLOW_TRACKING_URI: runs then go to mlflow.db here",
    _disk: "",
}
