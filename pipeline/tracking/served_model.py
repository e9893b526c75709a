"""The model that MLflow loads: raw images in, answers out.

MLflow copies this file beside the model and runs it there, so it stands alone.
"""

from typing import Any

import mlflow.models
import numpy as np
import numpy.typing as npt
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

BATCH = 128  # images; larger ones no longer fit a core's cache


class ServedModel(PythonModel):
    """Takes raw images (n, side, side), whole numbers 0 to 255; scaling is part of the Keras model.

    A classifier (its config names `classes`) answers with the class and the probabilities of each
    image, an autoencoder with reconstructions, float32 (n, side, side), 0..1.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Keras model, in safe mode: a model file may not bring code."""
        import keras
        import tensorflow as tf

        model = keras.saving.load_model(context.artifacts["model"], safe_mode=True)
        (start,), (end,) = model.inputs, model.outputs
        self.side, self.shape = start.shape[1:3], end.shape[1:]
        # Not Keras's `predict`, which takes 40 ms to set out, for one image or many.
        signature = tf.TensorSpec((None, *self.side), tf.uint8)
        self.graph = tf.function(model, input_signature=(signature,), autograph=False)
        self.graph(np.zeros((1, *self.side), np.uint8))  # traced now, not while a client waits
        self.classes = (context.model_config or {}).get("classes")  # an empty one is saved as none

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: np.ndarray,  # what MLflow does not take for a schema of its own, nor warns of
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Answer for each of `model_input`.

        Raises:
            MlflowException: it holds no images of the model's size; an HTTP client gets a 400.
        """
        images = self._images(model_input)
        outputs = np.empty((len(images), *self.shape), np.float32)
        for first in range(0, len(images), BATCH):
            outputs[first : first + BATCH] = self.graph(images[first : first + BATCH])
        if self.classes is None:
            return outputs
        return {"class": np.array(self.classes)[outputs.argmax(axis=1)], "probabilities": outputs}

    def _images(self, found: Any) -> npt.NDArray[np.uint8]:
        # Checked here, and by no input signature: MLflow would cast what it reads from JSON to the
        # signature's uint8 without a word, 0.9 to 0.
        expected = (
            f"expected whole numbers 0 to 255 of shape (n, {self.side[0]}, {self.side[1]}), n > 0"
        )
        if not isinstance(found, np.ndarray):
            raise _refusal(f"found a {type(found).__name__}", expected)
        if found.ndim != 3 or found.shape[1:] != self.side or not len(found):
            raise _refusal(f"found shape {found.shape}", expected)
        if found.dtype.kind not in "iu":
            raise _refusal(f"found {found.dtype}", expected)
        if found.min() < 0 or found.max() > 255:
            raise _refusal(f"found values {found.min()} to {found.max()}", expected)
        return found.astype(np.uint8)


def _refusal(found: str, expected: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"{found}, {expected}")


mlflow.models.set_model(ServedModel())
