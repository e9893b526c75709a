"""Sweeps that lose a node, or the process that runs them: each trial ends, and counts once."""

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline.outs import paths
from pipeline.tracking import trials
from tests.whole.mlflow_server import free_port, until
from tests.whole.repositories import Repository, copied, environment_of_a_user
from tests.whole.test_sweep import runs_of, sweep, write_sweep

pytestmark = pytest.mark.exhaustive

TRIALS = 4
SEARCH = {"train_dense_ae.code_units": {"choices": [4, 8, 12, 16]}}
RAY = str(Path(sys.executable).with_name("ray"))
TRIAL = "ray::ImplicitFunc"  # what Ray calls a process in which a trial runs


class Node:
    """A Ray node at a loopback address of its own, with one CPU."""

    def __init__(self, *options: str, host: str, environment: dict[str, str]) -> None:
        size = ("--num-cpus", "1", "--object-store-memory", str(200 * 2**20))
        command = [RAY, "start", "--block", "--node-ip-address", host, *size, *options]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)

    def trains(self) -> bool:
        """Whether a trial runs on it."""
        return any(name.startswith(TRIAL) for name in map(_title, self._processes()))

    def kill(self) -> None:
        """End it at once, with all that runs on it."""
        doomed = self._processes()
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed)
        self.process.wait()

    def _processes(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


@pytest.fixture
def cluster() -> Iterator[tuple[list[Node], dict[str, str]]]:
    """Two nodes, and the variables with which a sweep runs on them."""
    folder = tempfile.mkdtemp(prefix="ray-")  # pytest's own paths are too long for Ray's sockets
    address = f"127.0.0.2:{free_port()}"
    # Ray asks whoever connects for the token that its nodes were started with.
    login = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = environment_of_a_user() | login | {"RAY_USAGE_STATS_ENABLED": "0"}
    port = address.partition(":")[2]
    head = ("--head", "--port", port, "--include-dashboard=false", "--temp-dir", folder)
    nodes: list[Node] = []

    def alive() -> int:
        status = (RAY, "status", "--address", address)
        told = subprocess.run(status, env=environment, capture_output=True, text=True, check=False)
        return told.stdout.partition("Pending:")[0].count("1 node_")

    def all_in() -> bool:
        assert nodes[-1].process.poll() is None, "the node has ended"
        return alive() == len(nodes)

    try:
        nodes.append(Node(*head, host="127.0.0.2", environment=environment))
        until(all_in, "the head answers")
        nodes.append(Node("--address", address, host="127.0.0.3", environment=environment))
        # A sweep counts the CPUs when it begins: one that finds the head alone uses no other.
        until(all_in, "the other has joined")
        yield nodes, login | {"RAY_ADDRESS": address}
    finally:
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(folder)


def begin(clone: Repository, **variables: str) -> subprocess.Popen[str]:
    write_sweep(clone, SEARCH, trials=TRIALS, params={"train_dense_ae.epochs": 3})
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "sweep"],
        cwd=clone.path,
        env=clone.environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def numbers(clone: Repository) -> list[int]:
    (folder,) = (clone.path / paths.SWEEPS).iterdir()
    ended = trials.read(folder)
    assert len({trial.chosen["train_dense_ae.code_units"] for trial in ended}) == len(ended)
    return [trial.number for trial in ended]


def counted(clone: Repository) -> list[str]:
    whole, below = runs_of(clone)
    assert whole.info.status == "FINISHED"
    assert {run.info.status for run in below} == {"FINISHED"}
    return [run.data.tags["sweep.trial"] for run in below]


def test_a_node_that_dies_costs_no_trial_and_none_counts_twice(
    cluster: tuple[list[Node], dict[str, str]], repository: Repository, tmp_path: Path
) -> None:
    (_, victim), variables = cluster
    clone = copied(repository, tmp_path / "clone")
    process = begin(clone, **variables)
    until(victim.trains, "a trial runs on the node")
    victim.kill()
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert numbers(clone) == list(range(1, TRIALS + 1))
    assert counted(clone) == [str(number) for number in range(1, TRIALS + 1)]
    assert printed.count("test_bce 0.") == TRIALS


def test_a_sweep_whose_process_is_killed_goes_on_without_repeating_a_trial(
    repository: Repository, tmp_path: Path
) -> None:
    clone = copied(repository, tmp_path / "clone")
    process = begin(clone)
    assert process.stdout
    first = process.stdout.readline()
    assert first.startswith(f"trial 1/{TRIALS}"), first
    members = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(members, timeout=60)
    before = numbers(clone)
    assert 1 <= len(before) < TRIALS
    (folder,) = (clone.path / paths.SWEEPS).iterdir()
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}

    printed = sweep(clone, "--resume")
    assert printed.count("test_bce 0.") == TRIALS - len(before)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert numbers(clone) == list(range(1, TRIALS + 1))
    assert counted(clone) == [str(number) for number in range(1, TRIALS + 1)]
