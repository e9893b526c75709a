"""A trained model in MLflow's form: loadable and servable from raw images, without this code."""

import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
from mlflow.entities import LoggedModelOutput, Run
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema, TensorSpec

from pipeline.errors import PromotionError
from pipeline.outs import paths
from pipeline.tracking import references
from pipeline.tracking.store import NOTE, Store
from pipeline.training.declaration import trainings

SERVED_MODEL = Path(__file__).with_name("served_model.py")
EXAMPLES = 2  # images in the input example
PACKAGES = ("mlflow", "keras", "tensorflow-cpu", "tensorflow", "numpy", "pandas", "pillow")
FOLDER = "keras"  # of the model's files, as an artifact of the package
COPIES = Path(".dvc/tmp/models")  # of packages that had a pointer; DVC keeps this folder out of git


def log(store: Store, run: Run, stage: str, *, epochs: int, description: str) -> str:
    """Log the model that `stage` wrote; return its id.

    MLflow's own `log_model` would import TensorFlow and predict, to check the input example; the
    model is the stage's, tested there, so it is packed here by hand with the same public calls.
    """
    client, run_id = store.client, run.info.run_id
    model = client.create_logged_model(
        store.experiment_id,
        name=paths.model(stage).stem,
        source_run_id=run_id,
        tags={NOTE: description},
    )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model"
        save(
            target,
            stage,
            Model(run_id=run_id, model_id=model.model_id),
            linked=store.settings.artifacts == "reference",
        )
        client.log_model_artifacts(model.model_id, str(target))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, epochs)])
    return model.model_id


def local(store: Store, name: str, number: int) -> str:
    """What MLflow can load version `number` of the model `name` from: itself, or a whole copy.

    Of a version that has but a pointer to its Keras model, a copy is completed from DVC's cache or
    remote.

    Raises:
        LockError: neither has the Keras model.
        PromotionError: the files of the version are lost.
    """
    whole = f"models:/{name}/{number}"
    # The version's own `model_id` is empty in a SQL store; `register` has named it as the source.
    source = str(store.client.get_model_version(name, str(number)).source)
    model_id = source.removeprefix("models:/")
    if model_id == source:
        return whole  # registered by hand, from a path
    files = store.client.list_logged_model_artifacts(model_id)
    if not any(file.path == MLMODEL_FILE_NAME for file in files):
        raise PromotionError(
            f"{name}: found no files of version {number} among MLflow's artifacts, expected its "
            "model; `python -m pipeline promote` with `--to` makes another version champion"
        )
    if not is_linked(store, model_id):
        return whole
    folder = COPIES / model_id
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{model_id}", dst_path=str(folder), tracking_uri=store.uri
    )
    references.fetch_all(folder)
    return str(folder)


def is_linked(store: Store, model_id: str) -> bool:
    """Whether the logged model has but a pointer to its Keras model."""
    files = store.client.list_logged_model_artifacts(model_id, f"artifacts/{FOLDER}")
    return any(file.path.endswith(references.SUFFIX) for file in files)


def save(target: Path, stage: str, mlflow_model: Model, *, linked: bool) -> None:
    """Write the package, of two flavors: Keras's, and a Python function that checks its input.

    If `linked`, with a pointer in place of the Keras model's file.
    """
    images = np.load(paths.PREPARED / "test_images.npy", mmap_mode="r")
    classes = np.load(paths.PREPARED / "classes.npy").tolist()
    image = images.shape[1:]
    if trainings()[stage].output == "classes":
        outputs: list[ColSpec | TensorSpec] = [
            TensorSpec(np.dtype(np.array(classes).dtype.type), (-1,), "class"),
            TensorSpec(np.dtype("float32"), (-1, len(classes)), "probabilities"),
        ]
        config = {"classes": classes}
    else:
        outputs = [TensorSpec(np.dtype("float32"), (-1, *image))]
        config = {}
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *image))]),
        outputs=Schema(outputs),
    )
    # MLflow's own mark of models that check their input themselves. Without it, the server casts
    # what it reads from JSON to the signature's uint8 without a word, 0.9 to 0.
    signature._is_signature_from_type_hint = True
    mlflow_model.add_flavor(
        "keras",
        data=f"artifacts/{FOLDER}",
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        # What MLflow's Keras flavor has in its own folder, by the same names.
        keras_files = Path(folder) / FOLDER
        keras_files.mkdir()
        (keras_files / "keras_module.txt").write_text("keras")
        file = keras_files / "model.keras"
        if linked:
            pointer = references.pointer(paths.model(stage), name=file.name)
            (keras_files / f"{file.name}{references.SUFFIX}").write_text(pointer)
        else:
            shutil.copyfile(paths.model(stage), file)
        mlflow.pyfunc.save_model(
            target,
            python_model=str(SERVED_MODEL),
            artifacts={FOLDER: str(keras_files)},
            model_config=config,
            signature=signature,
            input_example=np.array(images[:EXAMPLES]),
            pip_requirements=_requirements(),
            mlflow_model=mlflow_model,
        )


def _requirements() -> list[str]:
    """The installed versions of what the served model imports."""
    pins = []
    for package in PACKAGES:
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue  # one of the two TensorFlows is not installed
    return pins
