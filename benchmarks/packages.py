"""The classifier of dvc.lock as two MLflow packages: `python -m benchmarks.packages FOLDER`."""

import sys
from pathlib import Path

import keras
import mlflow.keras
import numpy as np
from mlflow.models import Model, infer_signature

from pipeline.outs import paths
from pipeline.tracking import model_package

STAGE = "train_classifier"


def main(folder: Path) -> None:
    """Write this pipeline's package, and the one that MLflow makes of the same model by itself."""
    model_package.save(folder / "this_pipeline", STAGE, Model(), linked=False)
    model = keras.saving.load_model(paths.model(STAGE))
    images = np.array(np.load(paths.PREPARED / "test_images.npy", mmap_mode="r")[:2])
    (folder / "keras_flavor").mkdir()
    mlflow.keras.save_model(
        model,
        str(folder / "keras_flavor"),
        signature=infer_signature(images, model.predict(images, verbose=0)),
        pip_requirements=["keras"],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
