"""Convolutions with the pooling or upsampling beside them as matrix products: the same function.

A convolution from or to one channel reads and writes more than it computes. Taken together with the
layer beside it, it is a matrix product for each 2 x 2 block of pixels:

- A max-pooling keeps the largest of a convolution's four values in a block. All four are products
  with one window around the block, each with the kernel at its own place in that window. The ReLU
  may as well come after the pooling, on a quarter of the values.
- After a nearest-neighbour upsampling by 2, the four values in a block depend on few small pixels,
  through sums of the kernel's rows and columns (the sub-pixel convolution of Shi et al. 2016, run
  backwards from its upsampling form). The large maps are never made.

Inside, the images of a batch are the last dimension, so that moving a map by a pixel moves memory
in long pieces.
"""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

Matrices = npt.NDArray[np.float32]


def fused(chain: list[layers.Layer]) -> list[layers.Layer]:
    """The same layers, a convolution and the pooling or upsampling beside it as one."""
    faster: list[layers.Layer] = []
    rest = list(chain)
    while rest:
        match rest:
            case [layers.UpSampling2D() as upsampling, layers.Conv2D() as convolution, *after] if (
                upsampling.size == (2, 2)
                and upsampling.interpolation == "nearest"
                and upsampling.data_format == "channels_last"
                and _same(convolution)
            ):
                faster.append(_UpsampledConvolution(convolution))
            case [layers.Conv2D() as convolution, layers.MaxPooling2D() as pooling, *after] if (
                convolution.activation is keras.activations.relu
                and pooling.pool_size == pooling.strides == (2, 2)
                and pooling.data_format == "channels_last"
                and not any(side % 2 for side in pooling.input.shape[1:3])
                and _same(convolution)
            ):
                faster.append(_PooledConvolution(convolution))
            case [layer, *after]:
                faster.append(layer)
        rest = after
    return faster


def _same(convolution: layers.Conv2D) -> bool:
    """Whether it gives a map of the size that it takes, each value of a window around its place."""
    return (
        convolution.padding == "same"
        and convolution.strides == convolution.dilation_rate == (1, 1)
        and convolution.groups == 1
        and convolution.use_bias
        and convolution.data_format == "channels_last"
    )


class _PooledConvolution(layers.Layer):
    """The largest of each 2 x 2 outputs of `convolution`: (n, 2 h, 2 w, c) to (n, h, w, o)."""

    def __init__(self, convolution: layers.Conv2D) -> None:
        super().__init__()
        self.convolution = convolution
        rows, columns = map(_places, convolution.kernel_size)
        self.places = np.einsum("aupi,bvqj->abuvpqij", rows, columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.tensordot(self.places, self.convolution.kernel, 2)  # (2, 2, u, v, 2, 2, c, o)
        _, _, *blocks, _, _, channels, outputs = kernel.shape
        height, width = inputs.shape[1] // 2, inputs.shape[2] // 2
        kernel = tf.reshape(tf.transpose(kernel, (0, 1, 7, 2, 3, 4, 5, 6)), (4 * outputs, -1))

        # A window is u x v whole blocks: a slice of the maps of each place in a block.
        before = [(size - 1) // 2 for size in self.convolution.kernel_size]
        pads = [(0, 0), *((b, 2 * n - 2 - b) for b, n in zip(before, blocks, strict=True)), (0, 0)]
        split = (-1, height + blocks[0] - 1, 2, width + blocks[1] - 1, 2, channels)
        maps = tf.transpose(tf.reshape(tf.pad(inputs, pads), split), (2, 4, 5, 1, 3, 0))
        size = (2, 2, channels, height, width, -1)
        windows = tf.stack([tf.slice(maps, (0, 0, 0, *at, 0), size) for at in np.ndindex(*blocks)])

        products = tf.matmul(kernel, tf.reshape(windows, (kernel.shape[1], -1)))
        top_left, top_right, low_left, low_right = tf.split(products, 4)
        largest = _larger(_larger(top_left, top_right), _larger(low_left, low_right))
        pooled = tf.nn.relu(largest + self.convolution.bias[:, tf.newaxis])
        return tf.transpose(tf.reshape(pooled, (outputs, height, width, -1)), (3, 1, 2, 0))


class _UpsampledConvolution(layers.Layer):
    """`convolution` of its input upsampled by 2: (n, h, w, c) to (n, 2 h, 2 w, o)."""

    def __init__(self, convolution: layers.Conv2D) -> None:
        super().__init__()
        self.convolution = convolution
        rows, columns = map(_taps, convolution.kernel_size)
        self.sums = np.einsum("ari,bsj->rsabij", rows, columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.tensordot(self.sums, self.convolution.kernel, 2)  # (r, s, 2, 2, c, o)
        *taps, _, _, channels, outputs = kernel.shape
        _, height, width, _ = inputs.shape
        kernel = tf.reshape(tf.transpose(kernel, (0, 1, 2, 3, 5, 4)), (-1, channels))

        pixels = tf.reshape(tf.transpose(inputs, (3, 1, 2, 0)), (channels, -1))
        products = tf.reshape(
            tf.matmul(kernel, pixels), (taps[0] * taps[1], 4 * outputs, height, width, -1)
        )
        # Where the kernel reaches an odd number of pixels back, blocks lie across those of the
        # output: there is one more, and its outer half falls off in the end.
        before = [(size - 1) // 2 for size in self.convolution.kernel_size]
        odd_rows, odd_columns = (size % 2 for size in before)
        rows, columns = height + odd_rows, width + odd_columns
        first_row, first_column = (-((size + 1) // 2) for size in before)
        moved = [
            _part(tap, first_row + row, first_column + column, rows, columns)
            for tap, (row, column) in zip(tf.unstack(products), np.ndindex(*taps), strict=True)
        ]
        blocks = tf.reshape(tf.add_n(moved), (2, 2, outputs, rows, columns, -1))
        large = tf.reshape(
            tf.transpose(blocks, (5, 3, 0, 4, 1, 2)), (-1, 2 * rows, 2 * columns, outputs)
        )
        large = tf.slice(large, (0, odd_rows, odd_columns, 0), (-1, 2 * height, 2 * width, outputs))
        # Not bias_add: its gradient for a single channel takes 0.1 ms a step, this one's 0.01.
        return self.convolution.activation(large + self.convolution.bias)


def _places(size: int) -> Matrices:
    """(2, blocks, 2, size): for both places in a block, where in its window each weight reads.

    A place reads from itself on; the window has so many blocks that both find all they read.
    """
    reads = np.add.outer(np.arange(2), np.arange(size))
    window = np.arange(2 * (size // 2 + 1))
    return _one_hot(reads, window).reshape(2, -1, 2, size)


def _taps(size: int) -> Matrices:
    """(2, taps, size): for both places in a block, which small pixel each weight reads."""
    reads = np.add.outer(np.arange(2), np.arange(size)) // 2
    return _one_hot(reads, np.arange(size // 2 + 1))


def _one_hot(reads: npt.NDArray[np.int_], of: npt.NDArray[np.int_]) -> Matrices:
    return (reads[:, np.newaxis, :] == of[:, np.newaxis]).astype(np.float32)


@tf.custom_gradient
def _larger(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """tf.maximum with a gradient in three passes; TensorFlow's own takes twice the time."""

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ones = upstream * tf.cast(one >= other, upstream.dtype)
        return ones, upstream - ones

    return tf.maximum(one, other), gradients


def _part(maps: tf.Tensor, row: int, column: int, height: int, width: int) -> tf.Tensor:
    """maps[:, row : row + height, column : column + width], zero where there are none."""
    pads, begin, size = [(0, 0)], [0], [-1]
    for start, length, there in zip((row, column), (height, width), maps.shape[1:3], strict=True):
        end = start + length
        pads.append((max(-start, 0), max(end - there, 0)))
        begin.append(max(start, 0))
        size.append(min(end, there) - begin[-1])
    return tf.pad(tf.slice(maps, (*begin, 0), (*size, -1)), (*pads, (0, 0)))
