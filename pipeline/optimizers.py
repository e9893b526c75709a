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
    return keras.optimizers.get({"class_name": name, "config": options})


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
