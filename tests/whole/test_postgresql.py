"""Runs in PostgreSQL, through an MLflow server as a team has it, and without one."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import mlflow
import numpy as np
import pytest
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Dataset, DatasetInput

from pipeline.tracking.runs import log_datasets
from tests.whole import daemons
from tests.whole.mlflow_server import Server
from tests.whole.repositories import Repository, copied
from tests.whole.tracked import TRACKED, assert_complete, assert_same_outs, forget, track

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def postgresql() -> Iterator[daemons.PostgreSQL]:
    """A PostgreSQL server, for a test to stop and start."""
    with daemons.postgresql() as server:
        yield server


def test_two_clones_share_a_server_on_postgresql_and_nothing_is_lost_when_all_of_it_crashes(
    repository: Repository, postgresql: daemons.PostgreSQL, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server", postgresql.database("team"), **postgresql.variables)
    clones = [copied(repository, tmp_path / name) for name in ("one", "other")]
    for clone in clones:
        forget(clone, "train_dense_ae")

    def pipeline(command: str) -> str:
        arguments = ("-m", "pipeline", command)
        return clones[1].python(*arguments, code=0, MLFLOW_TRACKING_URI=server.uri)

    try:
        server.start()
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", "repro"],
                cwd=clone.path,
                env=clone.environment() | {"MLFLOW_TRACKING_URI": server.uri},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for clone in clones
        ]
        for process in processes:
            printed, _ = process.communicate()
            assert process.returncode == 0, printed
            assert "Running stage 'train_dense_ae'" in printed
            assert "warning" not in printed
        assert "train_dense_ae: tracked" in track(clones[0], server.uri)
        for clone in clones:
            assert_same_outs(clone, "train_dense_ae")
        assert_complete(server.client, clones[0], *TRACKED, folder=tmp_path)
        assert pipeline("promote").count("version 1 becomes champion") == 3
        compared = pipeline("compare")

        server.kill()
        postgresql.crash()
        postgresql.start()
        server.start()
        assert track(clones[0], server.uri).count("tracked") == 4
        assert_complete(server.client, clones[0], *TRACKED, folder=tmp_path)
        assert pipeline("compare") == compared
        assert pipeline("promote").count("version 1 is champion already") == 3
    finally:
        server.kill()
    assert postgresql.password not in (tmp_path / "server/log").read_text()


def test_clones_that_write_to_postgresql_without_a_server_share_one_run_a_stage(
    repository: Repository,
    postgresql: daemons.PostgreSQL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = postgresql.database("alone")
    clones = [copied(repository, tmp_path / name) for name in ("one", "other")]
    with_password = uri.replace("mlflow@", f"mlflow:{postgresql.password}@")
    printed = [track(clone, with_password) for clone in clones]
    assert [text.count("run made") for text in printed] == [4, 0]
    assert [text.count("tracked") for text in printed] == [0, 4]
    for variable in postgresql.variables.items():
        monkeypatch.setenv(*variable)
    assert_complete(mlflow.MlflowClient(uri), clones[0], *TRACKED, folder=tmp_path)
    assert not any((clone.path / "mlruns").exists() for clone in clones)  # MLflow's own choice
    assert postgresql.password not in "".join(printed)


def test_clients_that_are_first_to_name_a_dataset_at_once_all_have_it(
    postgresql: daemons.PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in postgresql.variables.items():
        monkeypatch.setenv(*variable)
    client = mlflow.MlflowClient(postgresql.database("datasets"))
    experiment = client.create_experiment("first")
    run_ids = [client.create_run(experiment).info.run_id for _ in range(4)]
    for attempt in range(20):
        dataset = from_numpy(np.zeros(1), name="digits", digest=str(attempt)).to_dict()
        named = [DatasetInput(Dataset(**dataset))]
        ready = Barrier(len(run_ids))

        def log(run_id: str, ready: Barrier = ready, named: list[DatasetInput] = named) -> None:
            ready.wait()
            log_datasets(client, run_id, named)

        with ThreadPoolExecutor(len(run_ids)) as threads:
            list(threads.map(log, run_ids))
    for run_id in run_ids:
        inputs = client.get_run(run_id).inputs
        assert inputs
        assert {found.dataset.digest for found in inputs.dataset_inputs} == set(map(str, range(20)))


def test_a_wrong_password_is_told_in_one_line_that_does_not_show_it(
    repository: Repository, postgresql: daemons.PostgreSQL
) -> None:
    uri = postgresql.database("closed").replace("mlflow@", "mlflow:wrong-secret@")
    (line,) = track(repository, uri, code=1).splitlines()
    assert line.startswith("error: postgresql://127.0.0.1:")
    assert 'password authentication failed for user "mlflow"' in line
    assert "secret" not in line
