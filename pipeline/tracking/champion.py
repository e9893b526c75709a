"""The champion of a training, loaded: what it answers to images, without a server."""

from dataclasses import dataclass
from typing import Any

import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
from mlflow.exceptions import MlflowException

from pipeline.data.datasets import Images
from pipeline.errors import DataError
from pipeline.tracking import model_package, registry
from pipeline.tracking.store import Store

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Champion:
    """A version of a registered model.

    Attributes:
        name: of the registered model.
        version: its number.
        model: as MLflow loads it for Python.
    """

    name: str
    version: int
    model: Any

    @classmethod
    def load(cls, store: Store, stage: str) -> "Champion":
        """The one that `make serve` answers with; TensorFlow has been started.

        Raises:
            LockError: it is linked, and DVC has its file no more.
            PromotionError: there is none, or its files are lost.
        """
        name, version = registry.serving(store, stage)
        mlflow.set_tracking_uri(store.uri)
        mlflow.set_registry_uri(store.uri)
        return cls(
            name, version, mlflow.pyfunc.load_model(model_package.local(store, name, version))
        )

    def answer(self, images: Images) -> Columns:
        """What it makes of `images`, uint8 (n, side, side), in columns of length n.

        The class and the probability of each class; or the squared error per pixel, and the
        reconstruction.

        Raises:
            DataError: they are of another size.
        """
        try:
            answer = self.model.predict(images)
        except MlflowException as error:
            raise DataError(str(error.message)) from None
        if not isinstance(answer, dict):
            errors = np.square(answer - images / np.float32(255)).mean(axis=(1, 2))
            return {"squared_error": errors, "reconstruction": answer}
        classes = self.model.metadata.flavors["python_function"]["config"]["classes"]
        probabilities = zip(classes, answer["probabilities"].T, strict=True)
        return {
            "class": answer["class"],
            **{f"probability_{name}": column for name, column in probabilities},
        }
