"""Copies of a fork server: each is the process that was asked for, and ends as it would."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import processes
from pipeline.forkserver.client import Copy

ROOT = Path(__file__).parents[1]
PIPELINE = """
stages:
  talk: {cmd: 'echo "$COLOUR in $PWD"'}
  fail: {cmd: 'exit 3'}
  wait: {cmd: 'echo waiting; exec sleep 60'}
"""
# Starts a DVC of its own, says which, and stays.
CALLER = """
import sys, time
from pipeline import processes
print(processes.start("dvc", "repro", "wait", outlives=sys.argv[1] == "outlives").pid, flush=True)
time.sleep(60)
"""

# Has its processes made where there is no fork server.
WITHOUT = """
from pipeline import processes
with processes.served("dvc"):
    started = processes.start("timeit", "-n1", "-r1", stdout=-3)
    print(processes.copy("dvc"), type(started).__name__, started.wait())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DVC pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    # The first time, it says that it makes dvc.lock.
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "talk"], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(folder)


@pytest.fixture
def _served() -> Iterator[None]:
    with processes.served("dvc"):
        yield


served = pytest.mark.usefixtures("_served")


def run(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and output of DVC, started as the pipeline does it."""
    process = processes.start(
        "dvc", *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    printed = process.stdout.read().decode()
    status = process.wait()
    assert process.poll() == status
    return status, printed


def alive(pid: int, seconds: float = 10) -> bool:
    """Whether a process is still there after a while; it may be found to be gone before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True


def test_a_program_is_served_only_while_a_server_runs() -> None:
    assert processes.copy("dvc", "--version") is None
    with processes.served("dvc"):
        copy = processes.copy("dvc", "--version")
        assert copy
        assert copy.wait() == 0
        assert processes.copy("stages", "--help") is None
    assert processes.copy("dvc", "--version") is None
    assert isinstance(processes.start("dvc", "--version"), subprocess.Popen)


@pytest.mark.parametrize(
    "arguments", [("--version",), ("repro", "-f", "talk"), ("repro", "-f", "fail"), ("nonsense",)]
)
def test_a_copy_prints_and_ends_as_an_ordinary_process(
    arguments: tuple[str, ...], folder: Path
) -> None:
    env = os.environ | {"COLOUR": "green"}
    ordinary = run(*arguments, env=env)
    with processes.served("dvc"):
        assert isinstance(processes.start("dvc", "--version"), Copy)
        assert run(*arguments, env=env) == ordinary
    if "talk" in arguments:
        assert f"green in {folder}" in ordinary[1]
    assert (ordinary[0] == 0) == (arguments[-1] in ("--version", "talk"))


@served
def test_a_killed_copy_has_the_status_of_one() -> None:
    process = processes.start("dvc", "repro", "wait", stdout=subprocess.PIPE)
    assert isinstance(process, Copy)
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.kill()  # there is nothing left to kill


@served
@pytest.mark.parametrize("how", ["dies", "outlives"])
def test_a_copy_dies_with_its_caller_unless_it_is_to_outlive_it(how: str) -> None:
    caller = subprocess.Popen([sys.executable, "-c", CALLER, how], stdout=subprocess.PIPE)
    assert caller.stdout
    pid = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    if how == "dies":
        assert not alive(pid)
    else:
        assert alive(pid, seconds=1)
        os.killpg(pid, signal.SIGKILL)
    caller.stdout.close()


@served
def test_a_server_that_died_is_done_without() -> None:
    expected = run("--version")
    (server,) = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if f"{os.getpid()}" == _parent(entry) and b"pipeline.forkserver.server" in _command(entry)
    ]
    os.kill(server, signal.SIGKILL)
    assert not alive(server)
    assert isinstance(processes.start("dvc", "--version"), subprocess.Popen)
    assert run("--version") == expected


def test_without_the_folder_processes_are_ordinary_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(
        ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("forkserver")
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"None Popen 0\n"


def _parent(entry: Path) -> str:
    try:
        return (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
    except OSError:
        return ""


def _command(entry: Path) -> bytes:
    return (entry / "cmdline").read_bytes()
