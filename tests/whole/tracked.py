"""What a pipeline has made, held against its tracking store."""

import json
import os
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from pipeline.outs import artifacts, dvc_lock, paths
from pipeline.tracking import provenance
from tests.whole.repositories import TRAININGS, Repository

TRACKED = (*TRAININGS, "visualize")


def forget(repository: Repository, *stages: str) -> None:
    """Remove the outs of `stages`, and what DVC could bring them back from."""
    shutil.rmtree(repository.path / ".dvc/cache")
    for stage in stages:
        for out in dvc_lock.locked(stage, repository.path).outs:
            path = repository.path / out
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def assert_same_outs(repository: Repository, *stages: str) -> None:
    """The outs are those that dvc.lock names, byte for byte."""
    for stage in stages:
        outs = dvc_lock.locked(stage, repository.path).outs
        assert dvc_lock.hashes(outs, repository.path) == outs


def runs(client: mlflow.MlflowClient, fingerprint: str) -> list[Run]:
    """All that are there with this fingerprint, complete or not."""
    experiment = client.get_experiment_by_name("autoencoders")
    if not experiment:
        return []
    tagged = f"tags.`dvc.fingerprint` = '{fingerprint}'"
    return list(client.search_runs([experiment.experiment_id], filter_string=tagged))


def assert_complete(
    client: mlflow.MlflowClient, repository: Repository, *stages: str, folder: Path
) -> None:
    """Each of `stages` has one run, with all that the files say, and nothing is left beside it."""
    for stage in stages:
        state = dvc_lock.locked(stage, repository.path)
        (run,) = runs(client, state.fingerprint)
        assert run.info.status == "FINISHED"
        assert run.data.params
        entry = client.download_artifacts(run.info.run_id, "dvc.lock.yaml", os.fspath(folder))
        assert Path(entry).read_text() == provenance.lock_entry(state)
        if stage in TRAININGS:
            _assert_training_complete(client, repository, stage, run, folder)
        else:
            figures = {path.name for path in (repository.path / paths.FIGURES).iterdir()}
            logged = client.list_artifacts(run.info.run_id, "figures")
            assert {Path(file.path).name for file in logged} == figures


def _assert_training_complete(
    client: mlflow.MlflowClient, repository: Repository, stage: str, run: Run, folder: Path
) -> None:
    history = artifacts.read_history(repository.path / paths.history(stage))
    for name in history[0].keys() - {"epoch"}:
        points = client.get_metric_history(run.info.run_id, name)
        logged = sorted((point.step, point.value) for point in points)
        assert logged == [(row["epoch"], row[name]) for row in history]
    for name, value in json.loads((repository.path / paths.metrics(stage)).read_text()).items():
        if value is not None:
            assert run.data.metrics[name] == pytest.approx(value)
    assert run.inputs
    assert len(run.inputs.dataset_inputs) == 2
    written = {path(stage).name for path in (paths.structure, paths.history, paths.metrics)}
    there = {file.path for file in client.list_artifacts(run.info.run_id)}
    there = {name for name in there if not name.endswith(".png") and name != "images"}
    assert there == written | {provenance.LOCK_ENTRY}

    assert run.outputs
    (output,) = run.outputs.model_outputs
    file = paths.model(stage)
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"name = '{file.stem}'"
    )
    assert [model.model_id for model in models] == [output.model_id]
    assert str(models[0].status) == "READY"
    loaded = mlflow.artifacts.download_artifacts(
        artifact_uri=f"{models[0].artifact_location}/artifacts/keras/model.keras",
        tracking_uri=client.tracking_uri,
        dst_path=os.fspath(folder),
    )
    assert Path(loaded).read_bytes() == (repository.path / file).read_bytes()


def track(repository: Repository, uri: str, code: int = 0, **variables: str) -> str:
    variables |= {"MLFLOW_TRACKING_URI": uri}
    return repository.python("-m", "pipeline", "track", code=code, **variables)
