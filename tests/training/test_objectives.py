"""Losses, their gradients and metrics are Keras's own."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training.fast import losses as fast_losses
from pipeline.training.objectives import Measure

pytestmark = pytest.mark.usefixtures("tensorflow")


def in_graph(
    loss: Measure, activation: Callable[[tf.Tensor], tf.Tensor], logits: tf.Tensor, targets: object
) -> tuple[tf.Tensor, tf.Tensor, set[str]]:
    """Each loss, the gradient of their mean, and the kinds of operations that gave them."""

    @tf.function
    def computed(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = loss(tf.constant(targets), activation(logits))
            mean = tf.reduce_mean(losses)
        return losses, tape.gradient(mean, logits)

    operations = computed.get_concrete_function(logits).graph.get_operations()
    return *computed(logits), {operation.type for operation in operations}


@pytest.mark.parametrize(
    "shape", [(-1,), (4, -1), (5, 4, 4), (2, 5, 8)], ids=["one", "odd", "one product", "products"]
)
def test_binary_crossentropy_and_its_gradient_are_those_of_keras(shape: tuple[int, ...]) -> None:
    logits = tf.linspace(-9.0, 9.0, 80 if len(shape) > 2 else 84)
    targets = tf.reshape(np.random.default_rng(7).random(logits.shape, np.float32), shape)

    def activation(logits: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.sigmoid(logits), shape)

    ours, our_gradient, operations = in_graph(
        fast_losses.binary_crossentropy, activation, logits, targets
    )
    theirs, their_gradient, _ = in_graph(
        keras.losses.binary_crossentropy, activation, logits, targets
    )
    assert "Prod" in operations
    np.testing.assert_allclose(np.mean(ours), np.mean(theirs), rtol=1e-5)
    np.testing.assert_allclose(our_gradient, their_gradient, rtol=1e-3, atol=1e-6)


def test_categorical_crossentropy_and_its_gradient_are_those_of_keras() -> None:
    logits = tf.reshape(tf.linspace(-9.0, 9.0, 35), (5, 7))
    targets = np.eye(7, dtype=np.float32)[[0, 3, 6, 6, 1]]
    ours, our_gradient, operations = in_graph(
        fast_losses.categorical_crossentropy, tf.nn.softmax, logits, targets
    )
    theirs, their_gradient, _ = in_graph(
        keras.losses.categorical_crossentropy, tf.nn.softmax, logits, targets
    )
    assert "SoftmaxCrossEntropyWithLogits" in operations
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(our_gradient, their_gradient, rtol=1e-5, atol=1e-7)


def test_the_loss_of_undecided_probabilities_is_the_logarithm_of_two() -> None:
    losses, _, _ = in_graph(
        fast_losses.binary_crossentropy,
        tf.sigmoid,
        tf.zeros((3, 784)),
        np.ones((3, 784), np.float32),
    )
    np.testing.assert_allclose(losses, [np.log(2)] * 3, rtol=1e-6)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_a_certain_mistake_has_a_finite_loss_and_a_gradient(logit: float) -> None:
    wrong = np.array([logit < 0], np.float32)
    loss, gradient, _ = in_graph(
        fast_losses.binary_crossentropy, tf.sigmoid, tf.constant([logit]), wrong
    )
    assert loss.numpy() == [200]
    assert gradient.numpy() == [np.sign(logit)]


def test_a_certain_mistake_of_class_has_a_finite_loss_and_a_gradient() -> None:
    loss, gradient, _ = in_graph(
        fast_losses.categorical_crossentropy,
        tf.nn.softmax,
        tf.constant([[200.0, 0.0]]),
        np.array([[0, 1]], np.float32),
    )
    assert loss.numpy() == [200]
    np.testing.assert_array_equal(gradient, [[1, -1]])


def test_losses_of_given_probabilities_are_those_of_keras() -> None:
    p = tf.constant([[0.2, 0.8], [0.5, 0.5]])
    targets = np.array([[0, 1], [1, 0]], np.float32)
    for name in ("binary_crossentropy", "categorical_crossentropy"):
        ours, theirs = getattr(fast_losses, name), getattr(keras.losses, name)
        np.testing.assert_allclose(ours(targets, p), theirs(targets, p))


def test_accuracy_is_that_of_keras() -> None:
    outputs = np.random.default_rng(7).random((50, 10), np.float32)
    targets = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    right = fast_losses.accuracy(targets, outputs)
    np.testing.assert_array_equal(right, keras.metrics.categorical_accuracy(targets, outputs))
    assert 0 < np.mean(right) < 1
