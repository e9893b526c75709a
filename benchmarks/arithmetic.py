"""How much arithmetic a training is made of, counted from the model's layers."""

import math

import keras
from keras import layers


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds that one image costs in training, in dense and convolutional layers.

    Each such layer multiplies three times: in the forward pass, for the gradient of its weights,
    and for the gradient of its inputs, which the first layer does not need. Each product takes the
    outputs times the weights behind one output: `inputs x outputs` in a dense layer; `height x
    width x rows x columns x inputs x outputs` in a convolution, borders counted as if they were
    full. It is the model as built that is counted, upsample and then convolve, however it is
    computed. Activations, losses and optimizers, a few operations a number, are left out.
    """
    weighted = [layer for layer in model.layers if isinstance(layer, layers.Dense | layers.Conv2D)]
    products = [_forward(layer) for layer in weighted]
    return 3 * sum(products) - products[0]


def _forward(layer: keras.Layer) -> int:
    if isinstance(layer, layers.Dense):
        return math.prod(layer.kernel.shape)
    _, height, width, _ = layer.output.shape
    return height * width * math.prod(layer.kernel.shape)
