"""Killed at any instant and run again, a stage ends with the bytes of an uninterrupted run.

Here with few images; `pytest -m exhaustive tests/whole/test_kills.py --full-epochs` does it with
the committed params, in about half an hour.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.outs import dvc_lock, paths
from pipeline.reproduction import dvc_locks
from tests.whole.repositories import (
    STAGES,
    TRAININGS,
    Repository,
    copied,
    make_repository,
    with_epochs,
)

pytestmark = pytest.mark.exhaustive

KILLS = {"train_classifier": 8, "train_dense_ae": 8, "train_conv_ae": 8, "visualize": 6}
# With 600 images these last about 4 s, as long as the start of a stage.
LONG_PARAMS = {"train_classifier": 100, "train_dense_ae": 100, "train_conv_ae": 30, "probe": 2}
# Kills its own process as the file of which it is the n-th to be written reaches the disk.
KILLED_AT_WRITE = """
import os, runpy, signal, sys
left, fsync = int(sys.argv.pop(1)), os.fsync
def fsync_or_die(descriptor):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = fsync_or_die
runpy.run_module("stages", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def long_running(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Repository:
    """A repository with results, whose trainings take a while."""
    full = request.config.getoption("--full-epochs")
    repository = make_repository(tmp_path_factory.mktemp("long"), full=full)
    if not full:
        repository.edit_params(lambda text: with_epochs(text, LONG_PARAMS))
    repository.run(sys.executable, "-m", "dvc", "repro", PIPELINE_TRACKING="off")
    return repository


def start(repository: Repository, stage: str) -> subprocess.Popen[bytes]:
    """Run `stage` by DVC, whether it is out of date or not, in a process group of its own."""
    # As `make repro` does: DVC may have been killed as it wrote.
    dvc_lock.mend(repository.path)
    dvc_locks.release_dead(repository.path)
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", stage],
        cwd=repository.path,
        env=repository.environment() | {"PIPELINE_TRACKING": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for_a_state(repository: Repository, stage: str, process: subprocess.Popen[bytes]) -> None:
    folder = repository.path / paths.CHECKPOINTS / stage
    while process.poll() is None and not list(folder.glob("*.npz")):
        time.sleep(0.05)


def kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    # DVC takes a lock for held as long as its holder has a number, and the system may take a while.
    with suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


@pytest.mark.parametrize("stage", KILLS)
def test_kills_at_random_instants_change_no_byte(
    long_running: Repository, tmp_path: Path, stage: str
) -> None:
    outs = dvc_lock.locked(stage, long_running.path).outs
    repository = copied(long_running, tmp_path / "repository")
    began = time.monotonic()
    start(repository, stage).communicate()
    duration = time.monotonic() - began

    instants = random.Random(stage)  # noqa: S311 - the same instants each time
    continued = 0
    for number in range(KILLS[stage]):
        process = start(repository, stage)
        # Every other kill can't fall into the start, which is as long as a small training.
        if stage in TRAININGS and number % 2:
            wait_for_a_state(repository, stage, process)
            time.sleep(instants.uniform(0, duration / 3))
        else:
            time.sleep(instants.uniform(0, duration))
        continued += bool(list((repository.path / paths.CHECKPOINTS).glob("*/*.npz")))
        kill(process)
    process = start(repository, stage)
    printed, _ = process.communicate()

    assert not process.returncode, printed.decode()
    assert dvc_lock.hashes(outs, repository.path) == outs
    assert "up to date" in repository.dvc("status", stage)
    assert repository.run("git", "status", "--porcelain") == long_running.run(
        "git", "status", "--porcelain"
    )
    assert continued or stage not in TRAININGS
    assert not list(repository.path.glob(".checkpoints/*"))
    assert not list(repository.path.glob("data/**/.*.partial"))


def test_params_edited_while_a_training_runs_make_no_result(
    long_running: Repository, tmp_path: Path
) -> None:
    """DVC looks at params when the command has ended, by when they are others."""
    repository, stage = copied(long_running, tmp_path / "repository"), "train_dense_ae"
    before = dvc_lock.locked(stage, repository.path)
    process = start(repository, stage)
    wait_for_a_state(repository, stage, process)
    repository.edit_params(lambda text: text.replace("code_units: 100", "code_units: 12"))
    printed, _ = process.communicate()
    assert process.returncode
    assert f"error: {stage}: {stage} changed while it ran, expected" in printed.decode()
    assert dvc_lock.locked(stage, repository.path) == before

    repository.edit_params(lambda text: text.replace("code_units: 12", "code_units: 100"))
    assert "continuing after epoch" in start(repository, stage).communicate()[0].decode()
    assert dvc_lock.hashes(before.outs, repository.path) == before.outs


def test_make_repro_killed_with_all_that_it_started_goes_on_to_the_same_bytes(
    long_running: Repository, tmp_path: Path
) -> None:
    whole, killed = (copied(long_running, tmp_path / name) for name in ("whole", "killed"))
    command = ("-m", "pipeline", "repro")
    for repository in (whole, killed):
        repository.edit_params(lambda text: text.replace("seed: 42", "seed: 43"))
    whole.python(*command, PIPELINE_TRACKING="off")

    for stage in ("train_dense_ae", "train_conv_ae"):
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=killed.path,
            env=killed.environment() | {"PIPELINE_TRACKING": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for_a_state(killed, stage, process)
        assert process.poll() is None
        kill(process)
    assert list(killed.path.glob(".checkpoints/train_conv_ae/*.npz"))
    killed.python(*command, PIPELINE_TRACKING="off")

    for stage in STAGES:
        outs = dvc_lock.locked(stage, whole.path).outs
        assert dvc_lock.hashes(outs, killed.path) == outs
    assert not list(killed.path.glob(".checkpoints/*"))


@pytest.mark.parametrize("stage", TRAININGS)
def test_a_kill_in_the_midst_of_a_write_leaves_no_half_written_file(
    repository: Repository, tmp_path: Path, stage: str
) -> None:
    whole = copied(repository, tmp_path / "repository")
    outs = dvc_lock.locked(stage, whole.path).outs
    for path in outs:
        (whole.path / path).unlink()
    epochs = len((repository.path / paths.history(stage)).read_text().splitlines()) - 1
    # Killed in the last state's write; in the first out's, after that state's; in each other out's.
    for write in (epochs, 2, *range(2, len(outs) + 1)):
        whole.python(
            *("-c", KILLED_AT_WRITE, str(write), stage),
            code=-signal.SIGKILL,
            PIPELINE_TRACKING="off",
        )
        written = [path for path in outs if (whole.path / path).exists()]
        assert dvc_lock.hashes(written, whole.path) == {path: outs[path] for path in written}
    whole.python("-m", "stages", stage, PIPELINE_TRACKING="off")
    assert dvc_lock.hashes(outs, whole.path) == outs
    assert not list(whole.path.glob("**/.*.partial"))
