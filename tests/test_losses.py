"""Binary cross-entropy from logits is Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline import losses

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("shape", [(-1,), (7, 3)], ids=["sigmoid last", "reshape last"])
def test_loss_and_gradient_are_those_of_keras(shape: tuple[int, ...]) -> None:
    logits = tf.linspace(-9.0, 9.0, 21)
    targets = tf.reshape(np.random.default_rng(7).random(21, np.float32), shape)

    @tf.function
    def computed(ours: bool) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            outputs = tf.reshape(tf.sigmoid(logits), shape)
            if ours:
                loss = tf.reduce_mean(losses.binary_crossentropy(targets, outputs))
            else:
                loss = tf.reduce_mean(keras.losses.binary_crossentropy(targets, outputs))
        return loss, tape.gradient(loss, logits)

    for our, keras_own in zip(computed(True), computed(False), strict=True):
        np.testing.assert_allclose(our, keras_own, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_a_certain_mistake_has_a_finite_loss_and_a_gradient(logit: float) -> None:
    @tf.function
    def computed(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = losses.binary_crossentropy(tf.cast(logits < 0, tf.float32), tf.sigmoid(logits))
        return loss, tape.gradient(loss, logits)

    loss, gradient = computed(tf.constant([logit]))
    assert loss.numpy() == [200]
    assert gradient.numpy() == [np.sign(logit)]
