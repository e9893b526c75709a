"""A real MLflow server, for tests to stop, and to wait for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow

from tests.whole.serving import answers


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


def empty(client: mlflow.MlflowClient) -> None:
    """Put every run and every model into the trash: a new store takes seconds to make."""
    if experiment := client.get_experiment_by_name("autoencoders"):
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
        for model in client.search_logged_models([experiment.experiment_id]):
            client.delete_logged_model(model.model_id)


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
