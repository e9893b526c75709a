"""What trained models make of images."""

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.data.datasets import Images

Floats = npt.NDArray[np.float32]
Predict = Callable[[Images | Floats], Floats]

BATCH = 128  # larger ones no longer fit a core's cache


def parts(autoencoder: keras.Model, code: str) -> tuple[keras.Model, keras.Model]:
    """The encoder, from images to codes, and the decoder, from codes to reconstructions.

    `code` names the layer that gives the codes.
    """
    codes = autoencoder.get_layer(code).output
    return (
        keras.Model(autoencoder.inputs, codes, name="encoder"),
        keras.Model(codes, autoencoder.outputs[0], name="decoder"),
    )


def predictor(model: keras.Model) -> Predict:
    """A function from inputs to the outputs of `model`, float32 (n, ...)."""
    # Keras's own `predict` gives the same numbers, and takes 1.5 times as long: its data loader
    # gathers each batch image by image. It also traces a graph for each size of the last batch.
    (start,), (end,) = model.inputs, model.outputs
    signature = tf.TensorSpec(start.shape, start.dtype)
    graph = tf.function(model, input_signature=(signature,), autograph=False)

    def predict(inputs: Images | Floats) -> Floats:
        outputs = np.empty((len(inputs), *end.shape[1:]), np.float32)
        for first in range(0, len(inputs), BATCH):
            outputs[first : first + BATCH] = graph(inputs[first : first + BATCH])
        return outputs

    return predict
