"""The registered models: versions that say what they were made of, and the alias of the best."""

import json

import mlflow
from mlflow.entities import Run

from pipeline import layout
from pipeline.errors import PromotionError
from pipeline.gate import Entrant
from pipeline.lock import StageState
from pipeline.run_table import in_words
from pipeline.tracking import results
from pipeline.tracking.store import Store

CHAMPION = "champion"
ROLLED_BACK = "promotion.rolled_back"  # to which version: a tag of those that it stepped back from
TEST_DATA = tuple(str(layout.PREPARED / f"test_{kind}.npy") for kind in ("images", "labels"))
HELD_OUT = ("test_", "probe_")  # what the names of metrics on held-out images begin with
METRIC, DEP = "metric.", "dvc.dep."  # before a name in a tag
Tags = dict[str, str]


def model_name(stage: str) -> str:
    """The registered model of a training: mnist-dense-ae for train_dense_ae."""
    return f"mnist-{layout.model(stage).stem.replace('_', '-')}"


def tags_of(state: StageState, run: Run) -> Tags:
    """What the version made of `run` says of itself, by the names that the run has for it.

    All held-out metrics and not the gate's alone: another gate can judge it later.
    """
    metrics = results.tracked(run).metrics
    copied = ("dvc.stage", "dvc.fingerprint", "git.commit", "git.dirty")
    model = str(layout.model(state.name))
    return {
        **{name: run.data.tags[name] for name in copied},
        **{f"{DEP}{path}": state.deps[path] for path in TEST_DATA},
        f"dvc.out.{model}": state.outs[model],
        **{f"{METRIC}{key}": str(metrics[key]) for key in metrics if key.startswith(HELD_OUT)},
    }


def entrant(number: int, tags: Tags) -> Entrant:
    """The version with these tags, as the gate sees it."""
    return Entrant(
        f"version {number}",
        {
            key.removeprefix(METRIC): float(value)
            for key, value in tags.items()
            if key.startswith(METRIC)
        },
        {path: tags[f"{DEP}{path}"] for path in TEST_DATA if f"{DEP}{path}" in tags},
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


def register(store: Store, state: StageState, run: Run) -> int:
    """The number of a new version, of the model that `run` logged.

    Raises:
        PromotionError: it logged none.
    """
    client, name = store.client, model_name(state.name)
    if not (run.outputs and run.outputs.model_outputs):
        raise PromotionError(f"run {run.info.run_id}: found no logged model, expected one")
    model_id = run.outputs.model_outputs[0].model_id
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name, description=f"What `{state.cmd}` makes.")
    mlflow.set_tracking_uri(store.uri)  # where create_model_version looks for the model
    version = client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run.info.run_id,
        model_id=model_id,
        tags=tags_of(state, run),
        description=f"{in_words(results.tracked(run).metrics)}. Made by `{state.cmd}` at commit "
        f"{run.data.tags['git.commit']}.",
    )
    # What MLflow's `register_model` does: the run's page in the UI then links to the version.
    link = json.dumps([{"name": name, "version": str(version.version)}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return int(version.version)


def crown(store: Store, name: str, number: int) -> None:
    """Move the alias to this version, which is not rolled back any more if it was."""
    if ROLLED_BACK in versions(store, name)[number]:
        store.client.delete_model_version_tag(name, str(number), ROLLED_BACK)
    store.client.set_registered_model_alias(name, CHAMPION, str(number))
