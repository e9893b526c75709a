"""A second machine has the results of the first without training, through real storage."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.outs import dvc_lock
from tests.whole import daemons
from tests.whole.repositories import STAGES, TRAININGS, Repository, copied

pytestmark = pytest.mark.exhaustive

TRIED = ("-S", "train_dense_ae.code_units=16")
TRAINS = "Running stage"  # DVC says so before the command of a stage


@pytest.fixture(scope="module", params=["ssh", "s3"])
def remote(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The options of a DVC remote that is empty.

    TEST_S3_URL names a bucket in place of the mock's, and AWS's own variables its server and keys.
    """
    if request.param == "s3" and (url := os.environ.get("TEST_S3_URL")):
        yield {"url": f"{url}/{secrets.token_hex(8)}"}
        return
    server = {"ssh": daemons.openssh, "s3": daemons.s3}[request.param]
    with server() as options:
        yield options


@pytest.fixture(scope="module")
def first(
    repository: Repository, remote: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """A clone that has tried something, and pushed that and its results."""
    first = copied(repository, tmp_path_factory.mktemp("first") / "clone")
    add(remote, first)
    hub = os.fspath(first.path.parent / "hub.git")
    first.run("git", "init", "--quiet", "--bare", "--initial-branch=main", hub)
    first.run("git", "remote", "add", "origin", hub)
    first.run("git", "push", "--quiet", "origin", "main")
    first.dvc("push", "--run-cache")
    assert "Running stage 'train_dense_ae'" in first.dvc("exp", "run", "--name", "tried", *TRIED)
    first.dvc("exp", "push", "origin", "tried")
    return first


def add(remote: dict[str, str], repository: Repository) -> None:
    """Make `remote` the default, in the file that git ignores."""
    repository.dvc("remote", "add", "--local", "--default", "store", remote["url"])
    for option in remote.items():
        repository.dvc("remote", "modify", "--local", "store", *option)


def cloned(first: Repository, path: Path) -> Repository:
    """What git has of `first`, and nothing that DVC has."""
    first.run("git", "clone", "--quiet", os.fspath(first.path.parent / "hub.git"), os.fspath(path))
    assert not (path / ".dvc/cache").exists()
    return Repository(path)


def assert_has_results(second: Repository) -> None:
    """Nothing is left to do, and the bytes are those that dvc.lock names."""
    printed = second.python("-m", "pipeline", "repro")
    assert printed.startswith("Everything is up to date.")
    for stage in STAGES:
        outs = dvc_lock.locked(stage, second.path).outs
        assert dvc_lock.hashes(outs, second.path) == outs


def assert_makes_its_runs(second: Repository) -> None:
    """The tracking store, empty so far, gets a run for each result."""
    assert second.python("-m", "pipeline", "track").count("run made") == 4
    names = {run.data.tags["dvc.stage"] for run in second.runs() if run.info.status == "FINISHED"}
    assert names == {*TRAININGS, "visualize"}


def test_a_clone_that_pulls_has_every_result_and_makes_its_runs_without_training(
    first: Repository, remote: dict[str, str], tmp_path: Path
) -> None:
    second = cloned(first, tmp_path / "second")
    add(remote, second)
    second.dvc("pull", "--run-cache")
    assert TRAINS not in second.dvc("repro")
    assert_has_results(second)
    assert_makes_its_runs(second)
    assert second.run("git", "status", "--porcelain") == ""  # no word of the remote either


def test_repro_can_pull_what_it_would_train(
    first: Repository, remote: dict[str, str], tmp_path: Path
) -> None:
    second = cloned(first, tmp_path / "second")
    add(remote, second)
    assert TRAINS not in second.dvc("repro", "--pull")
    assert_has_results(second)


def test_an_experiment_of_another_clone_is_pulled_and_applied_without_training(
    first: Repository, remote: dict[str, str], tmp_path: Path
) -> None:
    second = cloned(first, tmp_path / "second")
    add(remote, second)
    second.dvc("pull")
    second.dvc("exp", "pull", "origin", "tried")
    assert TRAINS not in second.dvc("exp", "apply", "tried")
    assert_has_results(second)
    assert_makes_its_runs(second)
    locks = [clone.path / "dvc.lock" for clone in (first, second)]
    assert locks[0].read_bytes() == locks[1].read_bytes()


def test_clones_that_share_a_cache_train_nothing_twice(first: Repository, tmp_path: Path) -> None:
    second = cloned(first, tmp_path / "second")
    second.dvc("cache", "dir", "--local", os.fspath(first.path / ".dvc/cache"))
    printed = second.dvc("exp", "run", *TRIED)
    assert TRAINS not in printed
    assert "Stage 'train_dense_ae' is cached" in printed
    assert_has_results(second)
