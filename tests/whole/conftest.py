"""A small real pipeline in a repository of its own, run once for all tests of this folder."""

import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from pipeline import stage_files
from pipeline.data.files import readers
from pipeline.data.files.holding import Kind
from pipeline.outs import dvc_lock
from pipeline.training.declaration import trainings
from tests.whole.serving import answers, serving

ROOT = Path(__file__).parents[2]
TRAININGS, STAGES = tuple(trainings(ROOT)), tuple(stage_files.names(ROOT))
KINDS: tuple[Kind, ...] = ("images", "labels")
SMALL_PARAMS = {"train_classifier": 4, "train_dense_ae": 3, "train_conv_ae": 2, "probe": 2}


@dataclass(frozen=True)
class Repository:
    """A clone of this repository, with 600 training and 200 test images and few epochs."""

    path: Path

    def run(self, *command: str, code: int = 0, **variables: str) -> str:
        """Run `command` there as a user would; return what it printed, errors included."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def environment(self) -> dict[str, str]:
        """A user's environment: the venv's commands first on PATH, a git identity."""
        kept = environment_of_a_user()
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        for role in ("AUTHOR", "COMMITTER"):
            kept |= {f"GIT_{role}_NAME": "A Tester", f"GIT_{role}_EMAIL": "tester@example.org"}
        return kept

    def python(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run this interpreter there."""
        return self.run(sys.executable, *arguments, code=code, **variables)

    def dvc(self, *arguments: str, code: int = 0) -> str:
        """Run DVC there."""
        return self.python("-m", "dvc", *arguments, code=code)

    def edit_params(self, edit: Callable[[str], str]) -> None:
        """Rewrite params.yaml."""
        path = self.path / "params.yaml"
        path.write_text(edit(path.read_text()))

    def outs(self, *stages: str) -> int:
        """How many outs dvc.lock names of these stages."""
        return sum(len(dvc_lock.locked(stage, self.path).outs) for stage in stages)

    @property
    def client(self) -> mlflow.MlflowClient:
        """The repository's own tracking store."""
        return mlflow.MlflowClient(f"sqlite:///{self.path / 'mlflow.db'}")

    def runs(self) -> list[Run]:
        """Every run in it, newest first."""
        experiment = self.client.get_experiment_by_name("autoencoders")
        assert experiment
        return list(self.client.search_runs([experiment.experiment_id]))


def environment_of_a_user() -> dict[str, str]:
    """This process's, less what importing `mlflow` and `pipeline.sweeps` adds to it."""
    return {
        name: value
        for name, value in os.environ.items()
        if "MLFLOW" not in name and not name.startswith("RAY_")
    }


def make_repository(path: Path, *, full: bool = False) -> Repository:
    """Clone the files that git tracks or would track; unless `full`, make data and epochs small."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    outs = ("data/figures/", "data/history/", "data/metrics/", "dvc.lock")
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(outs):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    (path / ".venv").symlink_to(sys.prefix)

    repository = Repository(path)
    if not full:
        for name, count in (("mnist.pkl", 600), ("mnist_test.pkl", 200)):
            file = path / "data/raw" / name
            part = {kind: readers.read(file, kind, "train")[:count] for kind in KINDS}
            file.write_bytes(pickle.dumps(part))
        repository.edit_params(lambda text: with_epochs(text, SMALL_PARAMS))
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "a small pipeline")
    return repository


def with_epochs(text: str, epochs_of: dict[str, int]) -> str:
    """params.yaml with these epochs, by section."""
    for section, epochs in epochs_of.items():
        text = re.sub(rf"(?ms)(^{section}:.*?epochs: )\d+", rf"\g<1>{epochs}", text, count=1)
    return text.replace("map_images: 2000", "map_images: 100")


def copied(repository: Repository, target: Path) -> Repository:
    """A copy of `repository`, results and store included, for a test to change."""
    return Repository(Path(shutil.copytree(repository.path, target, symlinks=True)))


@contextmanager
def served(repository: Repository, stage: str) -> Iterator[str]:
    """The address at which the champion of `stage` answers."""
    port = free_port()
    arguments = ("serve", "--stage", stage, "--port", str(port))
    with serving(
        [sys.executable, "-m", "pipeline", *arguments],
        repository.path,
        repository.environment(),
        f"http://127.0.0.1:{port}/health",
        repository.path / "serve.log",
    ):
        yield f"http://127.0.0.1:{port}/invocations"


class Server:
    """A real MLflow server on a loopback port, with its files in `folder`.

    Attributes:
        store: the database that it keeps runs in; a file in `folder` unless another is given.
    """

    def __init__(self, folder: Path, store: str = "", **variables: str) -> None:
        self.folder = folder
        self.store = store or f"sqlite:///{folder / 'mlflow.db'}"
        self.variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | variables  # 8 processes
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> mlflow.MlflowClient:
        """Talks to it."""
        return mlflow.MlflowClient(self.uri, registry_uri=self.uri)

    def start(self) -> None:
        """Let it answer: for the first time, or again, on the store that it has left."""
        if self.process:
            return
        command = ["mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        store = ("--backend-store-uri", self.store)
        files = ("--artifacts-destination", os.fspath(self.folder / "artifacts"))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "--port", str(self.port), *store, *files],
                env=os.environ | self.variables,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group, which gets every signal
            )
        until(self._answers, "the server answers")

    def pause(self) -> None:
        """Let it hang: connections are taken, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, and first what was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word, whatever it does; its port refuses connections."""
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
        self.process = None

    def _signal(self, number: signal.Signals) -> None:
        if self.process:
            os.killpg(self.process.pid, number)

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return answers(f"{self.uri}/health")


def free_port() -> int:
    """A loopback port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(true: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for `true()`; the time is what a test may hang for, and no promise."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.1)


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
    client = shared_server.client
    if experiment := client.get_experiment_by_name("autoencoders"):
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
        for model in client.search_logged_models([experiment.experiment_id]):
            client.delete_logged_model(model.model_id)
    yield shared_server
    shared_server.go_on()


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository after `dvc repro`, its results committed; no test leaves it changed."""
    repository = make_repository(tmp_path_factory.mktemp("repository"))
    repository.dvc("repro")
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "results")
    return repository


@pytest.fixture
def copy(repository: Repository, tmp_path: Path) -> Repository:
    """The repository once more, to break."""
    return copied(repository, tmp_path / "copy")
