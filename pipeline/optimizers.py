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
