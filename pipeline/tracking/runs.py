"""Runs, made from the files that a stage wrote."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException

from pipeline import stage_files
from pipeline.outs import artifacts, dvc_lock, paths
from pipeline.outs.dvc_lock import StageState
from pipeline.tracking import model_package, pictures, provenance, references
from pipeline.tracking.run_table import in_words
from pipeline.tracking.store import NOTE, Store
from pipeline.training.declaration import trainings

BATCH = 500  # metrics; the server takes at most 1,000 a call
SignOfLife = Callable[[], None]


def tracked_stages() -> list[str]:
    """Those that have a run: trainings, and those that declare `ARTIFACTS`."""
    tracked = {**trainings(), **stage_files.declared("ARTIFACTS")}
    return [stage for stage in stage_files.names() if stage in tracked]


def begin(store: Store, state: StageState) -> Run:
    """A new run to log `state` to.

    Always a new one: an unfinished one with the same fingerprint may be a training's that is alive
    in another clone. The one that is finished first is kept.
    """
    return store.client.create_run(
        store.experiment_id, run_name=provenance.run_name(state), tags=provenance.tags(state)
    )


def log_epochs(store: Store, run: Run, rows: list[dict[str, float]]) -> None:
    """Record each row's figures at its epoch."""
    now = time.time_ns() // 1_000_000
    metrics = [
        Metric(name, value, now, int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name != "epoch"
    ]
    for start in range(0, len(metrics), BATCH):
        store.client.log_batch(run.info.run_id, metrics=metrics[start : start + BATCH])


def complete(store: Store, run: Run, state: StageState, alive: SignOfLife) -> None:
    """Bring `run` to what the files say, whatever it holds already, and finish it.

    If another clone has finished one with the same fingerprint meanwhile, `run` is deleted.

    Args:
        store: where the run is.
        run: as `begin` gave it.
        state: the stage with its outs, all of them in the working tree.
        alive: called after each step that the store has answered.
    """
    if not store.finished(state.fingerprint):
        try:
            _log(store, run, state, alive)
        except MlflowException:
            # Another clone may have been first meanwhile, and have removed this run as superfluous.
            if not store.finished(state.fingerprint):
                raise
        else:
            store.keep_one(state.fingerprint, running=False)
            return
    store.delete(run)  # with a model that was logged for it after it had been removed


def _log(store: Store, run: Run, state: StageState, alive: SignOfLife) -> None:
    client, run_id = store.client, run.info.run_id
    tags = [
        RunTag(NOTE, _description(state)),
        RunTag("dvc.test_data", provenance.test_data_digest()),
    ]
    params = [Param(key, str(value)) for key, value in provenance.flat_params(state).items()]
    client.log_batch(run_id, params=params, tags=tags)
    client.log_text(run_id, provenance.lock_entry(state), provenance.LOCK_ENTRY)
    alive()
    if state.name in trainings():
        _log_training(store, run, state, alive)
    folders = stage_files.declared("ARTIFACTS", [state.name]).get(state.name, ())
    for folder in folders:
        if store.settings.artifacts == "reference":
            pointer = references.pointer(folder, name=folder.name)
            client.log_text(run_id, pointer, f"{folder.name}{references.SUFFIX}")
        else:
            client.log_artifacts(run_id, str(folder), folder.name)
            alive()
    if folders:
        pictures.attach(store, state)
        alive()
    client.set_terminated(run_id, "FINISHED")


def make(store: Store, state: StageState) -> None:
    """The run of `state`, whole; dirty after a commit that gives other results than dvc.lock's."""
    run = begin(store, state)
    if not provenance.is_current(state):
        store.client.set_tag(run.info.run_id, "git.dirty", "true")
    complete(store, run, state, alive=lambda: None)


def _log_training(store: Store, run: Run, state: StageState, alive: SignOfLife) -> None:
    client, run_id = store.client, run.info.run_id
    history = artifacts.read_history(paths.history(state.name))
    raw = dvc_lock.locked("prepare").params["prepare"]
    log_datasets(
        client, run_id, [_dataset(part, raw[f"{part}_images"]) for part in ("train", "test")]
    )
    alive()
    for path in (paths.structure, paths.history, paths.metrics):
        client.log_artifact(run_id, str(path(state.name)))
        alive()
    model_id = model_package.log(
        store, run, state.name, epochs=len(history), description=_description(state)
    )
    alive()
    logged = {metric.step for metric in client.get_metric_history(run_id, "loss")}
    log_epochs(store, run, [row for row in history if int(row["epoch"]) not in logged])
    alive()
    known = client.get_run(run_id).data.metrics
    now = time.time_ns() // 1_000_000
    final = [
        Metric(key, value, now, len(history), model_id=model_id)
        for key, value in artifacts.read_metrics(paths.metrics(state.name)).items()
        if value is not None and key not in known  # test_loss, say, came with the history
    ]
    client.log_batch(run_id, metrics=final)
    alive()


def log_datasets(client: MlflowClient, run_id: str, datasets: list[DatasetInput]) -> None:
    """Log what a run was trained on, though other clients do so for the first time as well.

    MLflow looks for a dataset and then inserts it, so of two clients that find none one fails: by
    then the other's is there.
    """
    try:
        client.log_inputs(run_id, datasets=datasets)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        client.log_inputs(run_id, datasets=datasets)


def _dataset(part: str, raw: str) -> DatasetInput:
    """The images of `part`, named after the `raw` file, with their md5 as digest."""
    images_path = paths.PREPARED / f"{part}_images.npy"
    described = from_numpy(
        np.load(images_path, mmap_mode="r"),
        targets=np.load(paths.PREPARED / f"{part}_labels.npy", mmap_mode="r"),
        source=str(images_path),
        name=Path(raw).name,
        digest=dvc_lock.hashes([str(images_path)])[str(images_path)],
    )
    context = {"train": "training", "test": "evaluation"}[part]
    return DatasetInput(Dataset(**described.to_dict()), [InputTag("mlflow.data.context", context)])


def _description(state: StageState) -> str:
    made = f"Made by `{state.cmd}`; `dvc repro {state.name}` makes the same bytes again."
    if state.name not in trainings():
        return made
    return f"{in_words(artifacts.read_metrics(paths.metrics(state.name)))}.\n\n{made}"
