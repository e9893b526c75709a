"""`make repro` works however it is started, or says in a line what to do.

A row is a way to start: what is set or done before, in a copy of a repository that has a classifier
to train. `test_processes.py` has those that once started processes without end.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from pipeline.reproduction import dvc_locks
from tests.whole.repositories import Repository, copied

pytestmark = pytest.mark.slow


def cut_the_record_of_locks(copy: Repository) -> None:
    (copy.path / dvc_locks.RECORD).write_text('{"write": {"/')


def hold_a_lock_by_a_process_that_is_no_dvc(copy: Repository) -> None:
    held = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'
    path = copy.path / "data/prepared/classes.npy"
    (copy.path / dvc_locks.RECORD).write_text(f'{{"write": {{"{path}": {held}}}, "read": {{}}}}')


def write_params_as_windows_does(copy: Repository) -> None:
    path = copy.path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def link_cache(kind: str, copy: Repository) -> None:
    copy.dvc("config", "cache.type", kind)


def sign_commits(copy: Repository) -> None:
    copy.run("git", "config", "commit.gpgsign", "true")


def with_another_classifier(params: str) -> str:
    return params.replace("hidden_units: 600", "hidden_units: 60")


@dataclass(frozen=True)
class Way:
    """A way to start, and a line that is printed then.

    Attributes:
        variables: of the environment; `{folder}` is one of the test's own.
        before: what is done to the repository before.
        line: what is printed then, among the rest.
        by: the shell's words that start it.
        command: what is started.
    """

    variables: dict[str, str] = field(default_factory=dict)
    before: Callable[[Repository], None] | None = None
    line: str = ""
    by: str = 'exec "$@"'
    command: tuple[str, ...] = ("make", "repro")


DVC = ("dvc", "repro")
WAYS = {
    "PYTHONSAFEPATH": Way({"PYTHONSAFEPATH": "1"}),
    "PYTHONSAFEPATH, by dvc": Way({"PYTHONSAFEPATH": "1"}, command=DVC),
    "PYTHONOPTIMIZE": Way({"PYTHONOPTIMIZE": "2"}),
    "PYTHONWARNINGS": Way({"PYTHONWARNINGS": "error"}),
    "a shell that refuses": Way({"SHELL": "/usr/sbin/nologin"}),
    "a long TMPDIR": Way({"TMPDIR": f"{{folder}}/{'x' * 100}"}),
    "a TMPDIR that is not there": Way({"TMPDIR": "{folder}/none/there"}),
    "a record of locks that was cut": Way(
        before=cut_the_record_of_locks, line="was cut short when DVC was killed"
    ),
    "a number that is another's": Way(
        before=hold_a_lock_by_a_process_that_is_no_dvc, line="held by a DVC that has died"
    ),
    "no HOME": Way(by='unset HOME; exec "$@"'),
    "a HOME that is not there": Way({"HOME": "/nonexistent"}),
    "a linked cache": Way(before=partial(link_cache, "symlink")),
    "a hard-linked cache": Way(before=partial(link_cache, "hardlink")),
    "params.yaml of Windows": Way(before=write_params_as_windows_does),
    "128 open files": Way(by='ulimit -n 128; exec "$@"'),
    "4 GiB of address space": Way(by='ulimit -v 4194304; exec "$@"'),
    "files of its owner alone": Way(by='umask 077; exec "$@"'),
    "another backend of Keras": Way({"KERAS_BACKEND": "jax"}),
    "Keras 2": Way({"TF_USE_LEGACY_KERAS": "1"}),
    "a run of MLflow's": Way({"MLFLOW_RUN_ID": "0" * 32}),
    "variables of a git hook": Way({"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index"}),
    "signed commits": Way(before=sign_commits, command=("dvc", "exp", "run")),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", WAYS)
def test_repro_runs_when_started_with(copy: Repository, tmp_path: Path, way: str) -> None:
    chosen = WAYS[way]
    copy.edit_params(with_another_classifier)
    if chosen.before:
        chosen.before(copy)
    variables = {name: value.format(folder=tmp_path) for name, value in chosen.variables.items()}
    if way == "a long TMPDIR":
        Path(variables["TMPDIR"]).mkdir()
    assignments = [f"{name}={value}" for name, value in variables.items()]
    printed = copy.run("sh", "-c", chosen.by, "sh", "env", *assignments, *chosen.command)
    assert "Running stage 'train_classifier'" in printed
    assert chosen.line in printed
    assert "Traceback" not in printed
    assert "warning: " not in printed
    assert "up to date" in copy.dvc("status")


def in_a_folder_with_spaces(repository: Repository, folder: Path) -> Path:
    return copied(repository, folder / "Übung 1, größer (日本)").path


def in_a_worktree(repository: Repository, folder: Path) -> Path:
    main = copied(repository, folder / "main")
    main.run("git", "worktree", "add", "--quiet", "../tree")
    return folder / "tree"


def in_a_submodule(repository: Repository, folder: Path) -> Path:
    larger = Repository(folder / "larger")
    larger.path.mkdir()
    larger.run("git", "init", "--quiet")
    allowed = ("git", "-c", "protocol.file.allow=always")
    larger.run(*allowed, "submodule", "--quiet", "add", str(repository.path), "digits")
    return larger.path / "digits"


def in_a_shallow_clone(repository: Repository, folder: Path) -> Path:
    url = f"file://{repository.path}"
    repository.run("git", "clone", "--quiet", "--depth", "1", url, str(folder / "shallow"))
    return folder / "shallow"


def in_a_subfolder(repository: Repository, folder: Path) -> Path:
    larger = Repository(folder / "larger")
    inside = copied(repository, larger.path / "models/digits")
    inside.run("rm", "-rf", ".git")
    larger.run("git", "init", "--quiet")
    larger.run("git", "add", ".")
    larger.run("git", "commit", "--quiet", "--message", "a folder of it")
    inside.run("dvc", "config", "--local", "core.no_scm", "false")
    return inside.path


def behind_a_link(repository: Repository, folder: Path) -> Path:
    (folder / "link").symlink_to(copied(repository, folder / "real").path)
    return folder / "link"


PLACES = [
    *(in_a_folder_with_spaces, in_a_worktree, in_a_submodule),
    *(in_a_shallow_clone, in_a_subfolder, behind_a_link),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_repro_runs(
    repository: Repository, tmp_path: Path, place: Callable[[Repository, Path], Path]
) -> None:
    there = Repository(place(repository, tmp_path))
    if not (there.path / ".venv").exists():
        (there.path / ".venv").symlink_to(sys.prefix)
    there.edit_params(with_another_classifier)
    printed = there.run("make", "repro", PWD=os.fspath(there.path))
    assert "Running stage 'train_classifier'" in printed
    assert "warning: " not in printed
    assert "up to date" in there.dvc("status")


def test_a_repository_of_another_user_is_reported_as_git_does(copy: Repository) -> None:
    copy.run("chown", "-R", "65534", ".git")
    (line,) = copy.python("-m", "pipeline", "repro", code=1).splitlines()
    assert "dubious ownership" in line
    assert "git config --global --add safe.directory" in line


def test_without_a_git_to_ask_a_line_says_so(copy: Repository, tmp_path: Path) -> None:
    (line,) = copy.python("-m", "pipeline", "repro", code=1, PATH=os.fspath(tmp_path)).splitlines()
    assert line.startswith("error: git: not found on PATH")


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
    assert f"identical: {folder.outs('prepare')} outs, this rebuild and dvc.lock" in printed


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
