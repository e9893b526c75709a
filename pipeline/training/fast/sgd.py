"""Stochastic gradient descent without momentum, for weights of which a step needs a few rows."""

import keras
import tensorflow as tf

from pipeline import params


def is_plain(settings: params.Section) -> bool:
    """Whether a step is the gradient times the learning rate: a weight without one stays as it is.

    Such an optimizer is fast on rows of a variable that were read by `rows`.
    """
    return isinstance(settings, params.SGD) and not settings.momentum


def build(settings: params.Section) -> keras.optimizers.Optimizer:
    """Keras's SGD with such `settings`."""
    return _PlainSGD(name="sgd", **settings.model_dump())


def rows(variable: tf.Variable, indices: tf.Tensor) -> tf.Tensor:
    """Some rows of `variable`, copied together; their gradient is a `RowsGradient`."""

    @tf.custom_gradient
    def read() -> tf.Tensor:
        before = tf.gather(variable, indices)
        shape = tf.constant(variable.shape.as_list())
        return before, lambda upstream, variables: (  # noqa: ARG005 - `variable` is all there is
            [],
            [RowsGradient(upstream, indices, shape, before)],
        )

    return read()


class RowsGradient(tf.IndexedSlices):
    """A sparse gradient with the rows that it belongs to: an update needn't read them again.

    Attributes:
        before: the rows as they were read.
    """

    def __init__(
        self, values: tf.Tensor, indices: tf.Tensor, dense_shape: tf.Tensor, before: tf.Tensor
    ) -> None:
        super().__init__(values, indices, dense_shape)
        self.before = before


class _PlainSGD(keras.optimizers.SGD):
    """Keras's SGD without momentum, with one pass less over each gradient.

    The learning rate is multiplied into the loss, so that gradients come with it.
    """

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        return loss * self.learning_rate

    def update_step(
        self,
        gradient: tf.Tensor | RowsGradient,
        variable: tf.Variable,
        learning_rate: tf.Tensor,  # noqa: ARG002 - is in the gradient
    ) -> None:
        if isinstance(gradient, RowsGradient):
            # Not `scatter_sub`, whose kernel takes 1 ns a number: five times as long as these two.
            after = gradient.before - gradient.values
            variable.scatter_update(tf.IndexedSlices(after, gradient.indices))
        else:
            variable.assign_sub(gradient)
