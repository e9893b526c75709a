"""Upsampling and convolution as one layer: the same function, variables and gradients."""

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from pipeline.data.datasets import Dataset
from pipeline.params import PipelineParams
from pipeline.training import fast
from stages import train_conv_ae

pytestmark = pytest.mark.usefixtures("tensorflow")

SIDE = 12


@pytest.fixture
def images(digits: Dataset) -> npt.NDArray[np.uint8]:
    """The middle of some digits."""
    return digits.train_images[:20, 8:20, 8:20]


def autoencoder(params: PipelineParams, **settings: int) -> keras.Model:
    """A convolutional autoencoder with biases, too, that are not zero."""
    model = train_conv_ae.build(params.section("train_conv_ae").model_copy(update=settings), SIDE)
    for variable in model.weights:
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.1))
    return model


@pytest.mark.parametrize("filters", [1, 5])
@pytest.mark.parametrize("kernel_size", range(1, 8))
def test_the_fused_model_is_the_same_function(
    params: PipelineParams, images: npt.NDArray[np.uint8], kernel_size: int, filters: int
) -> None:
    model = autoencoder(params, kernel_size=kernel_size, filters=filters)
    np.testing.assert_allclose(fast.model(model)(images), model(images), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_fused_model_has_the_same_gradients(
    params: PipelineParams, images: npt.NDArray[np.uint8], kernel_size: int
) -> None:
    model = autoencoder(params, kernel_size=kernel_size)

    def gradients(function: keras.Model) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(keras.losses.binary_crossentropy(images / 255, function(images)))
        computed: list[tf.Tensor] = tape.gradient(error, model.trainable_weights)
        return computed

    for fused, plain in zip(gradients(fast.model(model)), gradients(model), strict=True):
        assert np.abs(plain).max() > 1e-4
        np.testing.assert_allclose(fused, plain, atol=1e-5, rtol=0)


def test_training_the_fused_model_trains_the_model(
    params: PipelineParams, images: npt.NDArray[np.uint8]
) -> None:
    model = autoencoder(params)
    before = [variable.numpy() for variable in model.weights]
    fused = fast.model(model)
    fused.compile(optimizer="adam", loss="binary_crossentropy")
    fused.train_on_batch(images, images / 255)

    for variable, earlier in zip(model.weights, before, strict=True):
        assert not np.array_equal(variable, earlier)
    np.testing.assert_allclose(fused(images), model(images), atol=1e-6, rtol=0)
