"""A small real pipeline, run once for all tests of this folder, whichever worker they run in."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.mlflow_server import Server, empty
from tests.whole.processes import FIRST_WAY, Ended, Repro
from tests.whole.repositories import Repository, copied, make_repository


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of this folder, the longest: workers then end at the same time.

    While the first worker makes the small pipeline, the second does what is as long without it.
    """
    here = Path(__file__).parent
    first = next((item.path for item in items if item.path.parent == here), here)

    def turn(item: pytest.Item) -> int:
        if item.path == first:
            return 0
        if item.path.name == "test_scheduler.py":
            return 1
        return 2 if item.path.parent == here else 3

    items.sort(key=turn)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server, started when first it is wanted; ended with the tests."""
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A running server without a run or a model, for a test to stop."""
    shared_server.start()
    empty(shared_server.client)
    yield shared_server
    shared_server.go_on()


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of this run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Let `make` make `folder`, unless a worker has; one that is at it is waited for."""
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def first_repro(of_all_workers: Path) -> Ended:
    """The run of the small pipeline from scratch, by `make repro`'s command; results committed."""

    def make(folder: Path) -> None:
        repository = make_repository(folder / "repository")
        ended = Repro(repository, FIRST_WAY, folder / "printed").ended()
        assert ended.code == 0, ended.printed
        ended.save(folder / "ended.json")
        repository.run("git", "add", ".")
        repository.run("git", "commit", "--quiet", "--message", "results")
        repository.run("git", "gc", "--quiet")  # a file where there were 400, in each copy

    return Ended.load(made_once(of_all_workers / "first", make) / "ended.json")


@pytest.fixture(scope="session")
def repository(first_repro: Ended, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The small pipeline with its results; no test leaves it changed."""
    return copied(first_repro.repository, tmp_path_factory.mktemp("repository") / "repository")


@pytest.fixture(scope="session")
def promoted(
    first_repro: Ended, of_all_workers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """It once more, its models champions; no test leaves it changed."""

    def make(folder: Path) -> None:
        copied(first_repro.repository, folder).python("-m", "pipeline", "promote")

    made = Repository(made_once(of_all_workers / "promoted", make))
    return copied(made, tmp_path_factory.mktemp("promoted") / "repository")


@pytest.fixture
def copy(repository: Repository, tmp_path: Path) -> Repository:
    """The repository once more, to break."""
    return copied(repository, tmp_path / "copy")
