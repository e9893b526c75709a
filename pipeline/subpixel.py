"""Upsampling and the convolution after it as one, on the small maps: the same function, cheaper.

A nearest-neighbour upsampling by 2 followed by a k x k convolution reads every value up to four
times over. Each of the four outputs that fall on one input place is a convolution of the input
maps themselves, with sums of the kernel's rows and columns as its kernel, so one convolution with
four times the outputs, spread out by depth-to-space, does the work without the large maps (the
sub-pixel convolution of Shi et al. 2016, run backwards from its upsampling form).
"""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers


def fused(model: keras.Model) -> keras.Model:
    """A chain of layers equal to `model`, variables shared, to train in its place.

    Each `UpSampling2D(2)` before a `Conv2D` is computed together with it. Outputs agree to float
    rounding; training one trains the other.
    """
    chain = list(model.layers)
    x, upsampled = model.input, False
    for layer in chain[1:]:
        if isinstance(layer, layers.UpSampling2D):
            upsampled = True
            continue
        x = _UpsampledConvolution(layer)(x) if upsampled else layer(x)
        upsampled = False
    return keras.Model(model.input, x, name=model.name)


class _UpsampledConvolution(layers.Layer):
    """`convolution` of its input upsampled by 2: (n, h, w, c) to (n, 2 h, 2 w, outputs)."""

    def __init__(self, convolution: layers.Conv2D) -> None:
        super().__init__()
        self.convolution = convolution
        rows, columns = convolution.kernel_size
        self.rows, self.columns = _phases(rows), _phases(columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.einsum("ari,bsj,ijco->rscabo", self.rows, self.columns, self.convolution.kernel)
        kernel = tf.reshape(kernel, (*kernel.shape[:3], -1))
        small = tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME")
        outputs = tf.nn.depth_to_space(small, 2) + self.convolution.bias
        return self.convolution.activation(outputs)


def _phases(size: int) -> npt.NDArray[np.float32]:
    """(2, taps, size): for an even and an odd output place, which input tap each weight reads.

    Output place 2 i + phase reads the upsampled place 2 i + phase + d, which is input place
    i + floor((phase + d) / 2), for d from -((size - 1) // 2) on, as padding "same" has it.
    """
    first = -((size - 1) // 2)
    reads = np.array([[(phase + first + d) // 2 for d in range(size)] for phase in (0, 1)])
    taps = np.arange(reads.min(), reads.max() + 1)
    return (reads[:, np.newaxis, :] == taps[:, np.newaxis]).astype(np.float32)
