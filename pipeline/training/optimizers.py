"""Optimizers from a section of params; every setting is given, none left to a default."""

import keras
import tensorflow as tf

from pipeline import params


def build(settings: params.Section) -> keras.optimizers.Optimizer:
    """The Keras optimizer that `settings` describe, and are named after."""
    if isinstance(settings, params.Adadelta):
        # Keras would name it after the class, and TensorFlow takes no scope that starts with "_".
        return _Adadelta(name="adadelta", **settings.model_dump())
    return keras.optimizers.get(
        {"class_name": type(settings).__name__, "config": settings.model_dump()}
    )


class _Adadelta(keras.optimizers.Adadelta):
    """Keras's Adadelta (Zeiler 2012, algorithm 1) in operations that are exact on every CPU.

    TensorFlow's one kernel for it multiplies by `rsqrt`, which starts from the CPU's RSQRTPS: its
    bits are each maker's choice. IEEE square roots and divisions have one right result. Not written
    as `x / tf.sqrt(y)` either: TensorFlow's graph optimizer makes that `x * rsqrt(y)`.

    Averages move by the kernel of gradient descent, in one pass where two operations take two.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        squares = self._accumulated_grads[index].value
        squared_steps = self._accumulated_delta_vars[index].value

        def average(mean: tf.Variable, value: tf.Tensor) -> None:
            _descend(mean, 1 - self.rho, mean - value)

        average(squares, tf.square(gradient))
        ratio = (squared_steps + self.epsilon) / (squares + self.epsilon)
        step = tf.sqrt(ratio) * gradient
        average(squared_steps, tf.square(step))
        _descend(variable, learning_rate, step)


def _descend(variable: tf.Variable, rate: tf.Tensor | float, direction: tf.Tensor) -> None:
    """Subtract `rate` times `direction` from `variable`, in one pass."""
    tf.raw_ops.ResourceApplyGradientDescent(
        var=variable.handle, alpha=tf.cast(rate, variable.dtype), delta=direction
    )
