"""The model that MLflow loads: raw images in, answers out.

MLflow copies this file beside the model and runs it there, so it stands alone.
"""

from typing import Any

import mlflow.models
import numpy as np
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """Takes uint8 images (n, side, side), 0 to 255; scaling is part of the Keras model.

    A classifier (its config names `classes`) answers with the class and the probabilities of each
    image, an autoencoder with reconstructions, float32 (n, side, side), 0..1.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Keras model, in safe mode: a model file may not bring code."""
        import keras

        self.model = keras.saving.load_model(context.artifacts["model"], safe_mode=True)
        self.classes = context.model_config.get("classes")

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: Any,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Answer for each of `model_input`."""
        outputs = self.model.predict(model_input, verbose=0)
        if self.classes is None:
            return outputs
        return {"class": np.array(self.classes)[outputs.argmax(axis=1)], "probabilities": outputs}


mlflow.models.set_model(ServedModel())
