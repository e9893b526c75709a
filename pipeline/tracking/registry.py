"""The registered models: versions that say what they were made of, and the alias of the best."""

import json
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities import Run

from pipeline.errors import PromotionError
from pipeline.outs import dvc_lock, paths
from pipeline.outs.dvc_lock import StageState
from pipeline.tracking import model_package, provenance, references, results
from pipeline.tracking.gate import Version
from pipeline.tracking.run_table import in_words
from pipeline.tracking.store import Store
from pipeline.training.declaration import trainings

CHAMPION = "champion"
ROLLED_BACK = "promotion.rolled_back"  # to which version: a tag of those that it stepped back from
METRIC = "metric."  # before a name in a tag
Tags = dict[str, str]


def model_name(store: Store, stage: str) -> str:
    """The registered model of a training: mnist-dense-ae for train_dense_ae."""
    return f"{store.settings.models}-{paths.model(stage).stem.replace('_', '-')}"


def tags_of(state: StageState, run: Run) -> Tags:
    """What the version made of `run` says of itself, by the names that the run has for it.

    All held-out metrics and not the gate's alone: another gate can judge it later.

    Raises:
        PromotionError: the run does not say it.
    """
    tracked = results.tracked(run)
    copied = ("dvc.stage", "dvc.fingerprint", "git.commit", "git.dirty", "dvc.test_data")
    for name in copied:
        if name not in run.data.tags:
            raise PromotionError(
                f"run {run.info.run_id}: found no tag {name}, expected one: an earlier revision "
                "made it; `make track` makes another when it is deleted"
            )
    return {
        **{name: run.data.tags[name] for name in copied},
        "dvc.model": state.outs[str(paths.model(state.name))],
        **{
            f"{METRIC}{metric.name}": str(tracked.metrics[metric.name])
            for metric in tracked.declared
            if metric.held_out and metric.name in tracked.metrics
        },
    }


def version(number: int, tags: Tags) -> Version:
    """The version with these tags, as the gate sees it."""
    return Version(
        f"version {number}",
        {
            key.removeprefix(METRIC): float(value)
            for key, value in tags.items()
            if key.startswith(METRIC)
        },
        tags.get("dvc.test_data", ""),
    )


def versions(store: Store, name: str) -> dict[int, Tags]:
    """The tags of every version of the registered model `name`; none if there is no such model."""
    found = store.client.search_model_versions(f"name='{name}'")
    return {int(version.version): version.tags for version in found}


def champion(store: Store, name: str) -> int | None:
    """The version that has the alias, if any has."""
    for model in store.client.search_registered_models(f"name='{name}'"):
        if number := model.aliases.get(CHAMPION):
            return int(number)
    return None


def serving(store: Store, stage: str) -> tuple[str, int]:
    """The registered model of `stage`, and the version of it that is champion.

    Raises:
        PromotionError: none is.
    """
    name = model_name(store, stage)
    number = champion(store, name)
    if number is None:
        raise PromotionError(f"{name}: found no champion, expected one; `make promote` makes it")
    return name, number


def register(store: Store, state: StageState, run: Run) -> int:
    """The number of a new version, of the model that `run` logged.

    Raises:
        LockError: the model is linked, and neither DVC's cache nor its remote has it.
        PromotionError: it logged none, or lacks a tag.
    """
    client, name = store.client, model_name(store, state.name)
    if not (run.outputs and run.outputs.model_outputs):
        raise PromotionError(f"run {run.info.run_id}: found no logged model, expected one")
    model_id = run.outputs.model_outputs[0].model_id
    if model_package.is_linked(store, model_id):
        file = paths.model(state.name)
        references.cached(state.outs[str(file)], str(file))  # a version is one that can be served
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name, description=_description(state))
    tags = tags_of(state, run)
    commit = tags["git.commit"] and f" at commit {tags['git.commit']}"  # none outside git
    mlflow.set_tracking_uri(store.uri)  # where create_model_version looks for the model
    created = client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run.info.run_id,
        model_id=model_id,
        tags=tags,
        description=f"{in_words(results.tracked(run).metrics)}. Made by `{state.cmd}`{commit}.",
    )
    # What MLflow's `register_model` does: the run's page in the UI then links to the version.
    link = json.dumps([{"name": name, "version": str(created.version)}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return int(created.version)


def check_outs(store: Store, state: StageState, run: Run) -> None:
    """Make sure that the outs `run` was made of are those of `state`.

    Other packages, or another kind of machine, may have made others of the same inputs.

    Raises:
        PromotionError: one is another.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = store.client.download_artifacts(run.info.run_id, provenance.LOCK_ENTRY, folder)
        Path(file).rename(Path(folder) / paths.LOCK)
        tracked = dvc_lock.locked(state.name, Path(folder)).outs
    for path, md5 in state.outs.items():
        if tracked.get(path) != md5:
            raise PromotionError(
                f"run {run.info.run_id}: found {path} with md5 {tracked.get(path)}, expected {md5} "
                "as dvc.lock names it: other packages or another kind of machine made that run; "
                "when it is deleted, `make track` makes one of what is here"
            )


def _description(state: StageState) -> str:
    training = trainings()[state.name]
    return (
        f"The {training.title} that `{state.cmd}` trains. Version `{CHAMPION}` is the one that "
        f"`make promote` found the best so far, and that `python -m pipeline serve --stage "
        f"{state.name}` answers with."
    )


def set_champion(store: Store, name: str, number: int) -> None:
    """Move the alias to this version, which is not rolled back any more if it was."""
    if ROLLED_BACK in versions(store, name)[number]:
        store.client.delete_model_version_tag(name, str(number), ROLLED_BACK)
    store.client.set_registered_model_alias(name, CHAMPION, str(number))
