"""A dense layer on images, computed with the pixels alone that are lit: the same function.

A pixel that is black in every image of a batch adds nothing to what a dense layer puts out, and its
weights have no gradient. Of MNIST's 784 pixels a batch of 32 lights 458 on average. The weights of
those are copied together and multiplied, and get a sparse gradient: a gain where an optimizer
leaves weights without one alone, as SGD without momentum does.
"""

import tensorflow as tf
from keras import layers

from pipeline.training.fast import sgd


def lit(chain: list[layers.Layer]) -> list[layers.Layer]:
    """The same layers, the first three as one if they scale, flatten and multiply images."""
    match chain:
        case [
            layers.Rescaling(scale=float(), offset=0.0) as scaling,
            layers.Flatten(data_format="channels_last"),
            layers.Dense(use_bias=True) as dense,
            *rest,
        ]:
            return [_LitDense(dense, scaling.scale), *rest]
    return chain


class _LitDense(layers.Layer):
    """`dense` of images, uint8 (n, side, side), flattened and multiplied by `scale`."""

    def __init__(self, dense: layers.Dense, scale: float) -> None:
        super().__init__()
        self.dense = dense
        self.scale = scale

    def call(self, images: tf.Tensor) -> tf.Tensor:
        pixels = tf.transpose(tf.reshape(images, (-1, self.dense.kernel.shape[0])))
        lit = tf.where(tf.reduce_any(tf.cast(pixels, tf.bool), axis=1))[:, 0]
        # Transposed as bytes, which TensorFlow would else do inside the product, in more time.
        inputs = tf.cast(tf.transpose(tf.gather(pixels, lit)), tf.float32) * self.scale
        products = tf.matmul(inputs, sgd.rows(self.dense.kernel.value, lit))
        return self.dense.activation(tf.nn.bias_add(products, self.dense.bias))
