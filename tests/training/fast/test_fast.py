"""Which models, losses and optimizers have a faster form, and that it is the same function."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from pipeline import params
from pipeline.data.datasets import Dataset
from pipeline.training import fast, objectives

pytestmark = pytest.mark.usefixtures("tensorflow")

PLAIN = params.SGD(learning_rate=0.01, momentum=0.0, nesterov=False)
MOMENTUM = params.SGD(learning_rate=0.01, momentum=0.9, nesterov=False)
SIDE = 28


class OwnDense(layers.Dense):
    """A dense layer that computes something else."""

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Twice what a dense layer does."""
        return 2 * super().call(inputs, training)


def start() -> keras.KerasTensor:
    return keras.Input((SIDE, SIDE), dtype="uint8", name="images")


def scaled(images: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Rescaling(1 / 255)(images)


def sequential(*chain: keras.Layer) -> keras.Model:
    return keras.Sequential(
        [keras.Input((SIDE, SIDE), dtype="uint8"), layers.Rescaling(1 / 255), *chain]
    )


def skipping() -> keras.Model:
    """What is flattened goes on in two ways."""
    images = start()
    flat = layers.Flatten()(scaled(images))
    code = layers.Dense(8, activation="relu")(flat)
    return keras.Model(images, layers.Concatenate()([code, flat]))


def shared() -> keras.Model:
    """One layer takes its own output."""
    images = start()
    dense = layers.Dense(SIDE * SIDE, activation="relu")
    return keras.Model(images, dense(dense(layers.Flatten()(scaled(images)))))


def side_output() -> keras.Model:
    images = start()
    code = layers.Dense(8)(layers.Flatten()(scaled(images)))
    return keras.Model(images, {"code": code, "class": layers.Dense(3)(code)})


def convolution(**settings: object) -> keras.Model:
    """A convolution between an upsampling and a pooling."""
    return sequential(
        layers.Reshape((SIDE, SIDE, 1)),
        layers.UpSampling2D(2),
        layers.Conv2D(**{"filters": 2, "kernel_size": 3, "padding": "same"} | settings),
        layers.MaxPooling2D(2),
    )


LEFT: dict[str, Callable[[], keras.Model]] = {
    "no layer to take together": lambda: sequential(layers.Flatten()),
    "no bias": lambda: sequential(layers.Flatten(), layers.Dense(4, use_bias=False)),
    "shifted pixels": lambda: keras.Sequential(
        [
            keras.Input((SIDE, SIDE), dtype="uint8"),
            layers.Rescaling(1 / 255, offset=0.5),
            layers.Flatten(),
            layers.Dense(4),
        ]
    ),
    "channels first": lambda: sequential(
        layers.Flatten(data_format="channels_first"), layers.Dense(4)
    ),
    "channels first in an upsampling": lambda: sequential(
        layers.Reshape((SIDE, SIDE, 1)),
        layers.UpSampling2D(2, data_format="channels_first"),
        layers.Conv2D(2, 3, padding="same"),
    ),
    "a way around a layer": skipping,
    "a layer used twice": shared,
    "two outputs": side_output,
    "a layer of one's own": lambda: sequential(layers.Flatten(), OwnDense(4)),
    "a term of the loss": lambda: sequential(
        layers.Flatten(), layers.Dense(4, activity_regularizer="l2")
    ),
    "strides": lambda: convolution(strides=2),
    "dilation": lambda: convolution(dilation_rate=2),
    "valid padding": lambda: convolution(padding="valid"),
    "a convolution without bias": lambda: convolution(use_bias=False),
}


@pytest.mark.parametrize("build", LEFT.values(), ids=LEFT)
def test_a_model_without_a_faster_form_is_left_as_it_is(build: Callable[[], keras.Model]) -> None:
    model = build()
    assert fast.model(model, PLAIN) is model


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(convolution, id="upsampled"),
        pytest.param(lambda: convolution(kernel_size=(2, 5)), id="oblong kernel"),
        pytest.param(lambda: convolution(activation="tanh"), id="another activation"),
        pytest.param(lambda: convolution(kernel_regularizer="l2"), id="weights in the loss"),
        pytest.param(
            lambda: sequential(
                layers.Flatten(),
                layers.Dense(8, kernel_regularizer="l1"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(3, activation="softmax"),
            ),
            id="lit pixels",
        ),
    ],
)
def test_a_faster_form_has_the_same_outputs_variables_and_terms_of_the_loss(
    model: Callable[[], keras.Model], digits: Dataset
) -> None:
    plain, images = model(), digits.test_images[:8]
    for variable in plain.trainable_variables:
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.1))
    faster = fast.model(plain, PLAIN)
    assert faster is not plain
    np.testing.assert_allclose(faster(images), plain(images), atol=1e-5)
    assert {id(one) for one in faster.variables} == {id(one) for one in plain.variables}
    np.testing.assert_allclose(faster.losses, plain.losses, rtol=1e-6)


def test_with_momentum_every_weight_moves_so_all_are_read() -> None:
    model = sequential(layers.Flatten(), layers.Dense(4))
    assert fast.model(model, MOMENTUM) is model
    assert fast.model(model) is model
    assert fast.model(model, PLAIN) is not model


def test_a_loss_or_metric_without_a_faster_form_stays() -> None:
    own = objectives.Objective(
        targets=lambda images, _: images,
        loss=keras.losses.mean_squared_error,
        metrics=(keras.metrics.mean_absolute_error,),
    )
    assert fast.objective(own) == own
    assert fast.objective(objectives.reconstruction()).loss != objectives.reconstruction().loss


def test_an_optimizer_without_a_faster_form_is_kerass_own() -> None:
    assert type(fast.optimizer(MOMENTUM)) is keras.optimizers.SGD
    assert isinstance(fast.optimizer(PLAIN), keras.optimizers.SGD)
    assert type(fast.optimizer(PLAIN)) is not keras.optimizers.SGD
