"""`make repro` works however it is started, or says in a line what to do.

A row is a way to start: what is set or done before, in a copy of a repository whose `prepare` has
to run again. `test_processes.py` has those that once started processes without end.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.reproduction import dvc_locks
from tests.whole.conftest import Repository, copied

pytestmark = pytest.mark.slow


def nothing(copy: Repository) -> None:
    """Leave it as it is."""


def cut_the_record_of_locks(copy: Repository) -> None:
    (copy.path / dvc_locks.RECORD).write_text('{"write": {"/')


def hold_a_lock_by_a_process_that_is_no_dvc(copy: Repository) -> None:
    held = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'
    path = copy.path / "data/prepared/classes.npy"
    (copy.path / dvc_locks.RECORD).write_text(f'{{"write": {{"{path}": {held}}}, "read": {{}}}}')


@dataclass(frozen=True)
class Way:
    """A way to start, and a line that is printed then."""

    variables: dict[str, str]
    before: Callable[[Repository], None] = nothing
    line: str = ""


WAYS = {
    "PYTHONSAFEPATH": Way({"PYTHONSAFEPATH": "1"}),
    "a shell that refuses": Way({"SHELL": "/usr/sbin/nologin"}),
    "a long TMPDIR": Way({"TMPDIR": "long"}),
    "a record of locks that was cut": Way({}, cut_the_record_of_locks, "was cut short"),
    "a number that is another's": Way(
        {}, hold_a_lock_by_a_process_that_is_no_dvc, "held by a DVC that has died"
    ),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", WAYS)
def test_repro_runs_when_started_with(copy: Repository, tmp_path: Path, way: str) -> None:
    chosen = WAYS[way]
    copy.edit_params(lambda text: text.replace("test_fraction: 0.2", "test_fraction: 0.3"))
    chosen.before(copy)
    variables = dict(chosen.variables)
    if "TMPDIR" in variables:
        long = tmp_path / ("x" * 100)
        long.mkdir(parents=True)
        variables["TMPDIR"] = os.fspath(long)
    assignments = [f"{name}={value}" for name, value in variables.items()]
    printed = copy.run("env", *assignments, "make", "repro")
    assert "Running stage 'prepare'" in printed
    assert chosen.line in printed
    assert "up to date" in copy.dvc("status")


def test_a_checkout_with_the_line_ends_of_windows_is_up_to_date(
    repository: Repository, tmp_path: Path
) -> None:
    repository.run(
        *("git", "clone", "--quiet", "--config", "core.autocrlf=true", "."), str(tmp_path / "clone")
    )
    for name in ("stages/prepare.py", "params.yaml", "data/history/train_dense_ae.csv"):
        ours, theirs = (root / name for root in (repository.path, tmp_path / "clone"))
        assert theirs.read_bytes() == ours.read_bytes()


def test_a_folder_of_a_larger_repository_is_verified(
    repository: Repository, tmp_path: Path
) -> None:
    larger = tmp_path / "larger"
    folder = copied(repository, larger / "models/digits")
    folder.run("rm", "-rf", ".git")
    inside = Repository(larger)
    inside.run("git", "init", "--quiet")
    inside.run("git", "add", ".")
    inside.run("git", "commit", "--quiet", "--message", "a folder of it")
    printed = folder.python("-m", "pipeline", "verify", "--stage", "prepare")
    assert "identical: 2 outs, this rebuild and dvc.lock" in printed


def test_a_dvc_of_another_environment_runs_stages_in_the_projects_own(
    copy: Repository, tmp_path: Path
) -> None:
    copy.edit_params(lambda text: text.replace("test_fraction: 0.2", "test_fraction: 0.3"))
    bare = tmp_path / "bin/python3"  # has none of the packages
    bare.parent.mkdir()
    bare.symlink_to(Path(sys.base_prefix, "bin/python3").resolve())
    dvc = Path(sys.prefix, "bin/dvc")
    printed = copy.run(os.fspath(dvc), "repro", "prepare", PATH=f"{bare.parent}:/usr/bin:/bin")
    assert "600 training and 200 test images" in printed


@pytest.mark.parametrize(
    ("command", "told"),
    [("repro", "found no git repository here"), ("verify", "not a git repository")],
)
def test_without_git_a_line_says_so(copy: Repository, command: str, told: str) -> None:
    copy.run("rm", "-rf", ".git")
    (line,) = copy.python("-m", "pipeline", command, code=1).splitlines()
    assert told in line


def test_without_git_a_run_does_what_its_line_says(copy: Repository) -> None:
    copy.run("rm", "-rf", ".git")
    copy.dvc("config", "--local", "core.no_scm", "true")
    assert "Everything is up to date." in copy.python("-m", "pipeline", "repro")


def test_a_merge_conflict_in_dvc_lock_is_told_in_a_line(copy: Repository) -> None:
    path = copy.path / "dvc.lock"
    ours = path.read_text()
    path.write_text(f"{ours}<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> other\n")
    (line,) = copy.python("-m", "pipeline", "repro", code=1).splitlines()
    assert "dvc.lock: found the marks of a merge conflict" in line


def test_nothing_is_said_when_nobody_reads_on(copy: Repository) -> None:
    copy.edit_params(lambda text: text.replace("test_fraction: 0.2", "test_fraction: 0.3"))
    script = f"{sys.executable} -u -m pipeline repro | head -n 1"
    (line,) = copy.run("sh", "-c", script).splitlines()
    assert "Running stage 'prepare'" in line
