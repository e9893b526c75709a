"""A logged model, loaded by each of the ways that MLflow has for it."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import mlflow
import mlflow.cli
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature, infer_signature

from pipeline.outs import dvc_lock, paths
from tests.whole.repositories import TRAININGS, Repository

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


def logged(repository: Repository, stage: str) -> str:
    """The folder of the model that the run of `stage` logged."""
    fingerprint = dvc_lock.locked(stage, repository.path).fingerprint
    (run,) = (one for one in repository.runs() if one.data.tags["dvc.fingerprint"] == fingerprint)
    assert run.outputs
    model = repository.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    return str(repository.path / Path(model.artifact_location.removeprefix("file://")))


def some_images(repository: Repository) -> npt.NDArray[np.uint8]:
    loaded: npt.NDArray[np.uint8] = np.load(repository.path / "data/prepared/test_images.npy")
    return loaded[:12]


@pytest.mark.parametrize("stage", TRAININGS)
def test_the_keras_flavor_loads_the_very_model_of_the_stage(
    repository: Repository, stage: str
) -> None:
    loaded = mlflow.keras.load_model(logged(repository, stage))
    own = keras.saving.load_model(repository.path / paths.model(stage))
    assert loaded.get_config() == own.get_config()
    for one, other in zip(loaded.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_package_has_what_mlflows_own_keras_flavor_writes(
    repository: Repository, tmp_path: Path
) -> None:
    images = some_images(repository)
    model = keras.saving.load_model(repository.path / paths.model("train_classifier"))
    (tmp_path / "own").mkdir()  # MLflow writes the example before it makes the folder
    mlflow.keras.save_model(
        model,
        str(tmp_path / "own"),  # MLflow calls a method of str
        signature=infer_signature(images, model.predict(images, verbose=0)),
        input_example=images,
        pip_requirements=["keras"],  # else MLflow starts a process to find out
    )
    packed = Path(logged(repository, "train_classifier"))
    ours, own = Model.load(packed), Model.load(tmp_path / "own")
    here, there = ours.flavors["keras"], own.flavors["keras"]
    assert here | {"data": ""} == there | {"data": ""}
    assert {file.name for file in (packed / here["data"]).iterdir()} == {
        file.name for file in (tmp_path / "own" / there["data"]).iterdir()
    }
    assert isinstance(ours.signature, ModelSignature)
    assert ours.signature.inputs == own.signature.inputs
    top = {file.name for file in (tmp_path / "own").iterdir()} - {there["data"]}
    assert top <= {file.name for file in packed.iterdir()}
    assert json.loads((packed / "serving_input_example.json").read_text())["inputs"]


def test_as_a_python_function_it_answers_arrays_lists_files_and_a_column_alike(
    repository: Repository,
) -> None:
    images = some_images(repository)
    model = mlflow.pyfunc.load_model(logged(repository, "train_classifier"))
    expected = model.predict(images)["class"].tolist()
    for same in (
        images.astype(np.int64),
        images[..., None],
        images.tolist(),
        pd.DataFrame({"image": images.tolist()}),
    ):
        assert model.predict(same)["class"].tolist() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(np.full((1, 28, 28), 0.9), id="0.9"),
        pytest.param(np.full((1, 28, 28), 300), id="300"),
        pytest.param(np.full((1, 28, 28), -1), id="-1"),
        pytest.param(np.zeros((1, 28, 28), np.float32), id="float32"),
        pytest.param(np.zeros((0, 28, 28), np.uint8), id="none"),
        pytest.param(pd.DataFrame({"a": [1], "b": [2]}), id="two columns"),
        pytest.param(None, id="nothing"),
    ],
)
def test_as_a_python_function_it_casts_nothing_silently(repository: Repository, wrong: Any) -> None:
    model = mlflow.pyfunc.load_model(logged(repository, "train_classifier"))
    with pytest.raises(mlflow.MlflowException, match=r"found .*, expected whole numbers 0 to 255"):
        model.predict(wrong)


def test_mlflow_models_predict_answers_the_models_own_example(
    repository: Repository, tmp_path: Path
) -> None:
    packed = Path(logged(repository, "train_classifier"))
    answer = tmp_path / "answer.json"
    command = [
        *("models", "predict", "--model-uri", os.fspath(packed)),
        *("--input-path", os.fspath(packed / "serving_input_example.json")),
        *("--output-path", os.fspath(answer), "--env-manager", "local"),
    ]
    with repository.entered():
        mlflow.cli.cli.main(command, standalone_mode=False)
    model = mlflow.pyfunc.load_model(str(packed))
    expected = model.predict(some_images(repository)[:2])["class"].tolist()
    assert json.loads(answer.read_text())["predictions"]["class"] == expected
