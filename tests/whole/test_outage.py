"""Whatever the MLflow store does, a stage makes its outs; `track` then makes its one run."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import mlflow
import psutil
import pytest

from pipeline.outs import dvc_lock
from pipeline.tracking import runs as logging
from pipeline.tracking.store import Store
from tests.whole.mlflow_server import Server, empty, free_port, until
from tests.whole.repositories import STAGES, Repository, copied, with_epochs
from tests.whole.tracked import (
    TRACKED,
    assert_complete,
    assert_same_outs,
    forget,
    runs,
    track,
)

pytestmark = pytest.mark.slow

STAGE = "train_classifier"
EPOCHS = 60  # long enough for something to happen meanwhile
UNTRACKED = "warning: not in MLflow: "
# A stage that has written its outs waits at most 5 s for a store that does not answer. It then has
# to end, on a machine that may be doing other things.
PROMISE = 8.0


@pytest.fixture(scope="module")
def long(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose classifier takes a while: dvc.lock names what an undisturbed run made."""
    long = copied(repository, tmp_path_factory.mktemp("long") / "repository")
    long.edit_params(lambda text: with_epochs(text, {STAGE: EPOCHS}))
    long.python("-m", "stages", STAGE, PIPELINE_TRACKING="off")
    long.dvc("commit", "--force", STAGE)
    return long


@pytest.fixture
def clone(long: Repository, tmp_path: Path) -> Repository:
    """`long` once more, without the classifier."""
    clone = copied(long, tmp_path / "clone")
    forget(clone, STAGE)
    return clone


class Stage:
    """A stage that runs on its own, tracked at `uri`: a context manager that ends it."""

    def __init__(
        self, repository: Repository, uri: str, stage: str = STAGE, **variables: str
    ) -> None:
        self.repository = repository
        self.stage = stage
        self.printed = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stages", stage],
            cwd=repository.path,
            env=repository.environment() | {"MLFLOW_TRACKING_URI": uri} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if self.process.stdout:
            self.process.stdout.close()

    @property
    def fingerprint(self) -> str:
        """Finds its runs."""
        return dvc_lock.locked(self.stage, self.repository.path).fingerprint

    def follower(self) -> psutil.Process:
        """The process that makes its run."""
        (follower,) = psutil.Process(self.process.pid).children()
        return follower

    def wait_for_epoch(self, number: int) -> None:
        """Read on until it says that the epoch is over."""
        while f"epoch {number:>2}/{EPOCHS}" not in self._line():
            assert self.process.poll() is None, self.printed

    @contextmanager
    def held(self) -> Iterator[None]:
        """It stands still meanwhile, however fast the machine; its follower does not."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> float:
        """Wait for its good end; return the seconds between its last out and that."""
        while self._line():
            pass
        code, ended = self.process.wait(), time.time()
        assert code == 0, self.printed
        outs = dvc_lock.locked(self.stage, self.repository.path).outs
        paths = [self.repository.path / out for out in outs]
        files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
        return ended - max(file.stat().st_mtime for file in files)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.printed += line
        return line


@contextmanager
def live(client: mlflow.MlflowClient, stage: Stage) -> Iterator[None]:
    """The stage is held in mid-training, with an epoch in the store."""
    stage.wait_for_epoch(EPOCHS // 10)
    with stage.held():
        until(
            lambda: any("loss" in run.data.metrics for run in runs(client, stage.fingerprint)),
            "an epoch is in the store",
        )
        yield


def assert_made_up(repository: Repository, server: Server, *, folder: Path) -> None:
    """The outs are as ever, and once the server answers again, `track` completes every run."""
    assert_same_outs(repository, STAGE)
    server.go_on()
    server.start()
    track(repository, server.uri)
    assert_complete(server.client, repository, *TRACKED, folder=folder)


def assert_warned(printed: str, *stages: str) -> None:
    """One line says which stages are not tracked, and what makes that up."""
    (warning,) = [line for line in printed.splitlines() if "warning" in line.lower()]
    assert warning.startswith(UNTRACKED + ", ".join(stages))
    assert warning.endswith("; `make track` makes it up")
    assert "Traceback" not in printed


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def broken() -> Iterator[str]:
    """The address of a server that answers 500 to everything."""

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.exhaustive
def test_a_store_that_hangs_at_the_end_costs_a_stage_a_few_seconds_and_its_run_is_made_up(
    clone: Repository, server: Server, tmp_path: Path
) -> None:
    with Stage(clone, server.uri) as stage:
        with live(server.client, stage):
            pass
        stage.wait_for_epoch(EPOCHS - 5)
        server.pause()
        assert stage.end() < PROMISE
    assert_warned(stage.printed, STAGE)
    assert_made_up(clone, server, folder=tmp_path)


@pytest.mark.exhaustive
def test_a_store_that_hangs_in_mid_training_costs_it_nothing(
    clone: Repository, server: Server, tmp_path: Path
) -> None:
    with Stage(clone, server.uri) as stage:
        with live(server.client, stage):
            server.pause()
        stage.wait_for_epoch(EPOCHS // 2)  # the follower has something to say, and no answer
        with stage.held():
            until(lambda: ended(stage.follower()), "the follower gives up")
        assert stage.end() < PROMISE
    assert_warned(stage.printed, STAGE)
    assert_made_up(clone, server, folder=tmp_path)


def ended(process: psutil.Process) -> bool:
    return bool(process.status() == psutil.STATUS_ZOMBIE)


def has_params(client: mlflow.MlflowClient, fingerprint: str) -> bool:
    return any(run.data.params for run in runs(client, fingerprint))


def has_inputs(client: mlflow.MlflowClient, fingerprint: str) -> bool:
    return any(run.inputs and run.inputs.dataset_inputs for run in runs(client, fingerprint))


def has_model(client: mlflow.MlflowClient, fingerprint: str) -> bool:
    found = runs(client, fingerprint)
    return bool(found and client.search_logged_models([found[0].info.experiment_id]))


def has_outputs(client: mlflow.MlflowClient, fingerprint: str) -> bool:
    return any(run.outputs and run.outputs.model_outputs for run in runs(client, fingerprint))


@pytest.mark.exhaustive
@pytest.mark.parametrize("outage", [Server.pause, Server.kill])
@pytest.mark.parametrize("reached", [has_params, has_inputs, has_model, has_outputs])
def test_a_run_that_is_cut_off_at_any_step_of_its_completion_is_made_up(
    repository: Repository,
    server: Server,
    tmp_path: Path,
    reached: Callable[[mlflow.MlflowClient, str], bool],
    outage: Callable[[Server], None],
) -> None:
    clone, client = copied(repository, tmp_path / "clone"), server.client
    forget(clone, STAGE)
    # A user's own patience with a server is not the stage's.
    with Stage(clone, server.uri, MLFLOW_HTTP_REQUEST_TIMEOUT="60") as stage:
        fingerprint = stage.fingerprint
        while not reached(client, fingerprint) and stage.process.poll() is None:
            pass
        outage(server)
        start = time.monotonic()
        stage.end()
        # The follower may have a model to pack before it notices, and no PROMISE is made for that;
        # the stage has waited for the store no longer than for any other.
        assert time.monotonic() - start < 30
    assert_made_up(clone, server, folder=tmp_path)


@pytest.mark.exhaustive
def test_a_server_that_dies_in_mid_training_and_comes_back_has_one_complete_run(
    clone: Repository, server: Server, tmp_path: Path
) -> None:
    with Stage(clone, server.uri) as stage:
        with live(server.client, stage):
            server.kill()
        assert stage.end() < PROMISE
    assert_warned(stage.printed, STAGE)
    assert "Connection refused" in stage.printed
    assert_made_up(clone, server, folder=tmp_path)


@pytest.mark.exhaustive
def test_a_training_that_is_killed_goes_on_and_has_one_run_with_every_epoch_once(
    clone: Repository, server: Server, tmp_path: Path
) -> None:
    client = server.client
    with Stage(clone, server.uri) as stage, live(client, stage):
        stage.kill()
    until(
        lambda: [run.info.status for run in runs(client, stage.fingerprint)] == ["KILLED"],
        "the run is marked",
    )
    with Stage(clone, server.uri) as stage:
        stage.end()
    assert "continuing after epoch" in stage.printed
    assert "warning" not in stage.printed
    assert_same_outs(clone, STAGE)
    assert_complete(client, clone, STAGE, folder=tmp_path)


@pytest.mark.exhaustive
def test_a_run_that_is_left_running_by_a_power_cut_is_gone_after_track(
    clone: Repository, server: Server, tmp_path: Path
) -> None:
    client = server.client
    with Stage(clone, server.uri) as stage, live(client, stage):
        stage.follower().kill()
        stage.kill()
    (left,) = runs(client, stage.fingerprint)
    assert left.info.status == "RUNNING"
    with Stage(clone, server.uri) as stage:
        stage.end()
    assert "warning" not in stage.printed
    statuses = sorted(run.info.status for run in runs(client, stage.fingerprint))
    assert statuses == ["FINISHED", "RUNNING"]  # it could be a training's in another clone
    assert_same_outs(clone, STAGE)
    assert "train_classifier: tracked" in track(clone, server.uri)
    assert_complete(client, clone, *TRACKED, folder=tmp_path)


@pytest.mark.exhaustive
def test_a_store_that_refuses_connections_changes_no_out_and_track_makes_its_runs_once(
    repository: Repository, server: Server, tmp_path: Path
) -> None:
    clone = copied(repository, tmp_path / "clone")
    forget(clone, *STAGES)
    server.kill()
    printed = clone.python("-m", "pipeline", "repro", MLFLOW_TRACKING_URI=server.uri)
    assert_warned(printed, *TRACKED)
    assert printed.splitlines()[-1].startswith(UNTRACKED)
    assert "up to date" in clone.dvc("status")
    assert clone.run("git", "status", "--porcelain") == ""
    server.start()
    assert track(clone, server.uri).count("run made") == 4
    assert_complete(server.client, clone, *TRACKED, folder=tmp_path)
    for _ in range(2):
        assert track(clone, server.uri).count("tracked") == 4
    assert_complete(server.client, clone, *TRACKED, folder=tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("stage", [STAGE, "visualize"])
@pytest.mark.parametrize("fault", [silent, broken])
def test_a_store_that_never_says_anything_of_use_holds_no_stage_up(
    repository: Repository,
    tmp_path: Path,
    stage: str,
    fault: Callable[[], AbstractContextManager[str]],
) -> None:
    clone = copied(repository, tmp_path / "clone")
    forget(clone, stage)
    with fault() as uri, Stage(clone, uri, stage) as running:
        assert running.end() < PROMISE
    assert_warned(running.printed, stage)
    assert_same_outs(clone, stage)


def at_once(command: str, clones: list[Repository], uri: str) -> list[str]:
    """What `python -m pipeline COMMAND` prints in each of `clones`, at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", command],
            cwd=clone.path,
            env=clone.environment() | {"MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for clone in clones
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(clones), outputs
    return outputs


@pytest.mark.parametrize("step", [2, 5])  # before its files are logged, and before its model is
def test_a_run_that_another_clone_removes_while_it_is_made_leaves_no_model(
    copy: Repository, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    empty(copy.client)
    monkeypatch.chdir(copy.path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", copy.client.tracking_uri)
    store, state = Store(), dvc_lock.locked("train_dense_ae")
    steps = iter(range(1, 100))

    def another_is_first() -> None:
        if next(steps) == step:
            logging.make(store, state)
            store.keep_one(state.fingerprint, running=True)

    logging.complete(store, logging.begin(store, state), state, another_is_first)
    kept = store.finished(state.fingerprint)
    assert kept
    models = store.client.search_logged_models([store.experiment_id])
    assert [model.source_run_id for model in models] == [kept.info.run_id]


@pytest.mark.exhaustive
def test_two_clones_that_track_at_once_share_one_run_a_stage(
    repository: Repository, server: Server, tmp_path: Path
) -> None:
    clones = [copied(repository, tmp_path / name) for name in ("one", "other")]
    at_once("track", clones, server.uri)
    assert_complete(server.client, clones[0], *TRACKED, folder=tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["a database file", "a server"])
def test_two_clones_that_train_at_once_share_one_run_a_stage(
    repository: Repository, server: Server, tmp_path: Path, kind: str
) -> None:
    uri = server.uri if kind == "a server" else f"sqlite:///{tmp_path / 'store/mlflow.db'}"
    clones = [copied(repository, tmp_path / name) for name in ("one", "other")]
    for clone in clones:
        forget(clone, *STAGES)
    for clone, printed in zip(clones, at_once("repro", clones, uri), strict=True):
        assert "warning" not in printed
        assert "database is locked" not in printed
        assert_same_outs(clone, *STAGES)
    client = mlflow.MlflowClient(uri)
    assert_complete(client, clones[0], *TRACKED, folder=tmp_path)
    assert track(clones[1], uri).count("tracked") == 4
    assert_complete(client, clones[0], *TRACKED, folder=tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: f"user:secret@127.0.0.1:{free_port()}", id="refuses"),
        pytest.param(lambda: f"user:se@secret/secret@127.0.0.1:{free_port()}", id="odd password"),
    ],
)
def test_track_without_a_server_says_so_in_one_line_without_the_password(
    repository: Repository, fault: Callable[[], str]
) -> None:
    variables = {
        "MLFLOW_TRACKING_PASSWORD": "another-secret",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the first is at once, the next after seconds
    }
    printed = track(repository, f"http://{fault()}", code=1, **variables)
    (line,) = [line for line in printed.splitlines() if "warning" not in line.lower()]
    assert line.startswith("error: http://127.0.0.1:")
    assert "secret" not in printed


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("postgresql://user:secret@127.0.0.1:1/runs", "Connection refused"),
        ("mysql://user:secret@127.0.0.1:1/runs", "No module named 'MySQLdb'"),
        ("sqlite:///{folder}/file.db", "file is not a database"),
        ("nonsense://user:secret@127.0.0.1/", "nonsense"),
    ],
)
def test_a_store_that_can_not_be_is_told_in_one_line(
    repository: Repository, tmp_path: Path, store: str, reason: str
) -> None:
    (tmp_path / "file.db").write_text("no database at all")
    (line,) = track(repository, store.format(folder=tmp_path), code=1).splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert "secret" not in line


@pytest.mark.exhaustive
def test_a_stage_s_warning_shows_no_password(repository: Repository, tmp_path: Path) -> None:
    clone = copied(repository, tmp_path / "clone")
    variables = {
        "MLFLOW_TRACKING_URI": f"http://user:secret@127.0.0.1:{free_port()}",
        "MLFLOW_TRACKING_PASSWORD": "another-secret",
    }
    printed = clone.python("-m", "stages", STAGE, code=0, **variables)
    assert_warned(printed, STAGE)
    assert "secret" not in printed


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        pytest.param({}, 100, id="the default"),  # a minute, and what importing MLflow takes
        pytest.param(
            {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
            45,
            id="the user's own",
        ),
    ],
)
def test_track_gives_up_on_a_server_that_hangs(
    repository: Repository, variables: dict[str, str], seconds: float
) -> None:
    start = time.monotonic()
    with silent() as uri:
        printed = track(repository, uri, code=1, **variables)
    assert time.monotonic() - start < seconds
    assert printed.splitlines()[-1].startswith(f"error: {uri}: ")
    assert "Traceback" not in printed


@contextmanager
def ui(repository: Repository, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    """The process of the UI, once it listens, and its port."""
    port = free_port()
    process = psutil.Popen(
        [sys.executable, "-m", "pipeline", "ui", "--port", str(port), *options],
        cwd=repository.path,
        env=repository.environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: bool(listening(port)), "the UI listens")
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("options", "address"),
    [([], "127.0.0.1"), (["--host", "127.0.0.2"], "127.0.0.2")],
    ids=["by default", "on request"],
)
def test_the_ui_listens_on_loopback_and_elsewhere_only_if_told_to(
    repository: Repository, options: list[str], address: str
) -> None:
    with ui(repository, *options) as (_, port):
        assert listening(port) == {address}


@pytest.mark.exhaustive
def test_the_ui_shows_the_store_and_no_command_line_its_address(repository: Repository) -> None:
    with ui(repository) as (process, port):
        members = (process, *process.children(recursive=True))
        lines = [" ".join(member.cmdline()) for member in members]
        assert "mlflow ui" in lines[0]
        assert not any("sqlite:" in line for line in lines)
        shown = mlflow.MlflowClient(f"http://127.0.0.1:{port}").search_experiments()
        assert "autoencoders" in {experiment.name for experiment in shown}


def listening(port: int) -> set[str]:
    """The addresses at which some process listens on `port`."""
    return {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
