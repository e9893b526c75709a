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
    """Whether a step is the gradient times the learning rate, so that none leaves weights alone."""
    return isinstance(settings, params.SGD) and not settings.momentum


class _PlainSGD(keras.optimizers.SGD):
    """Keras's SGD without momentum, with one pass less over each gradient.

    The learning rate is multiplied into the loss, so that gradients come with it.
    """

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        return loss * self.learning_rate

    def update_step(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        variable: tf.Variable,
        learning_rate: tf.Tensor,  # noqa: ARG002 - is in the gradient
    ) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            variable.assign_sub(gradient)
            return
        # Not `scatter_sub`, whose kernel takes 1 ns a number: five times as long as these three.
        rows = tf.gather(variable, gradient.indices) - gradient.values
        variable.scatter_update(tf.IndexedSlices(rows, gradient.indices))


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
