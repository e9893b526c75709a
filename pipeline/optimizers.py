"""Optimizers from a section of params; every setting is given, none left to a default."""

import keras
import tensorflow as tf

from pipeline import params


def build(settings: params.Section) -> keras.optimizers.Optimizer:
    """The Keras optimizer that `settings` name and describe."""
    options = settings.model_dump()
    name = options.pop("name")
    if name == "adadelta":
        return _Adadelta(**options)
    if is_plain(settings):
        return _PlainSGD(**options)
    return keras.optimizers.get({"class_name": name, "config": options})


def is_plain(settings: params.Section) -> bool:
    """Whether a step is the gradient times the learning rate: a weight without one stays as it is.

    Such an optimizer is fast on rows of a variable that were read by `rows`.
    """
    return isinstance(settings, params.SGD) and not settings.momentum


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


class _Adadelta(keras.optimizers.Adadelta):
    """Keras's Adadelta, each variable updated by TensorFlow's one kernel for it.

    Keras spells the update out in a dozen operations, each a pass through memory: a quarter of an
    epoch of the dense autoencoder. The formula is the same (Zeiler 2012, algorithm 1).
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=self._accumulated_grads[index].value.handle,
            accum_update=self._accumulated_delta_vars[index].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            rho=tf.cast(self.rho, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=gradient,
        )
