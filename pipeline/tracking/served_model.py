"""The model that MLflow loads: images in, answers out.

MLflow copies this file beside the model and runs it there, so it stands alone.
"""

import base64
import io
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from PIL import Image, ImageOps

BATCH = 128  # images; larger ones no longer fit a core's cache
PICTURES = ("PNG", "JPEG")
Pixels = npt.NDArray[np.uint8]


class Refusal(MlflowException):
    """A client's mistake: HTTP 400. MLflow would put the whole request in front of the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason, INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The reason, in one line."""
        return self.reason

    @message.setter
    def message(self, text: str) -> None:
        pass


class ServedModel(PythonModel):
    """Takes grey images, (n, side, side) of whole numbers 0 to 255, or one; or PNG or JPEG files.

    A classifier (its config names `classes`) answers with the class and the probabilities of each
    image, an autoencoder with reconstructions, float32 (n, side, side), 0..1.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Keras model, in safe mode: a model file may not bring code."""
        import keras
        import tensorflow as tf

        path = Path(context.artifacts["keras"]) / "model.keras"
        model = keras.saving.load_model(path, safe_mode=True)
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
        model_input: np.ndarray,  # of other hints, MLflow would make a signature of its own
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Answer for each of `model_input`: an array, nested lists, base64 texts, or bytes.

        Raises:
            Refusal: it holds no images of the model's size; an HTTP client gets a 400.
        """
        images = self._images(model_input)
        outputs = np.empty((len(images), *self.shape), np.float32)
        for first in range(0, len(images), BATCH):
            outputs[first : first + BATCH] = self.graph(images[first : first + BATCH])
        if self.classes is None:
            return outputs
        return {"class": np.array(self.classes)[outputs.argmax(axis=1)], "probabilities": outputs}

    def _images(self, found: Any) -> Pixels:
        rows, columns = self.side
        expected = (
            f"expected whole numbers 0 to 255 of shape (n, {rows}, {columns}), n > 0, or n texts "
            "of PNG or JPEG files in base64"
        )
        try:
            if isinstance(found, pd.DataFrame) and len(found.columns) == 1:
                found = found.iloc[:, 0].tolist()
            if isinstance(found, str | bytes):
                found = [found]
            if isinstance(found, list) and found and isinstance(found[0], str | bytes):
                return np.stack([self._picture(file) for file in found])
            return self._raw(found)
        except ValueError as error:
            raise Refusal(f"{error}, {expected}") from None

    def _raw(self, found: Any) -> Pixels:
        if not isinstance(found, list | np.ndarray):
            raise ValueError(f"found a {type(found).__name__}")
        try:
            array = np.asarray(found)
        except (ValueError, OverflowError):
            raise ValueError("found lists of unequal lengths") from None
        shape = array.shape
        if shape == self.side:
            array = array[None]
        elif shape[1:] == (*self.side, 1):
            array = array[..., 0]
        if array.shape[1:] != self.side or not len(array):
            raise ValueError(f"found shape {shape}")
        if array.dtype.kind not in "iu":
            raise ValueError(f"found {array.dtype}")
        if array.min() < 0 or array.max() > 255:
            raise ValueError(f"found values {array.min()} to {array.max()}")
        return array.astype(np.uint8)

    def _picture(self, file: Any) -> Pixels:
        """The pixels of an image file: its text in base64, or its bytes."""
        try:
            content = base64.b64decode(file, validate=True) if isinstance(file, str) else file
            with Image.open(io.BytesIO(content), formats=PICTURES) as image:
                size = image.size[::-1]
                # Pillow itself keeps the upper half of 16 bits, unless the picture is grey.
                deep = any(";16" in str(tile.args) for tile in image.tile)
                # No pixel of another size is decoded: a few bytes can hold billions of them.
                if size == self.side:
                    turned = ImageOps.exif_transpose(image)  # as it is seen in a viewer
                    pixels = np.asarray(turned.convert("RGBA"))
        except Exception:  # decoders raise whatever a damaged file leads them to
            raise ValueError("found text or bytes that are no PNG or JPEG file") from None
        if size != self.side:
            raise ValueError(f"found a picture of {size[1]} x {size[0]} pixels")
        if deep:
            raise ValueError("found a picture of 16 bits")
        grey, alpha = pixels[..., :1], pixels[..., 3]
        if (pixels[..., :3] != grey).any() or (alpha != 255).any():
            raise ValueError("found a picture with colours or transparent pixels")
        return grey[..., 0]


mlflow.models.set_model(ServedModel())
