"""Optimizers do what Keras's own do."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.params import SGD, Adadelta, Adam, Section
from pipeline.training import optimizers
from pipeline.training.fast import sgd

pytestmark = pytest.mark.usefixtures("tensorflow")


def after_steps(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    variables = [
        keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)),
        keras.Variable([0.5]),
    ]
    gradients = np.random.default_rng(7).standard_normal((20, 12))
    for gradient in gradients:
        optimizer.apply(
            [gradient.reshape(3, 4).astype("float32"), np.full(1, 0.1, np.float32)], variables
        )
    return [np.asarray(variable) for variable in variables]


@pytest.mark.parametrize("rho", [0.5, 0.95])
def test_adadelta_takes_the_steps_of_keras(rho: float) -> None:
    settings = Adadelta(learning_rate=0.7, rho=rho, epsilon=1e-6)
    plain = keras.optimizers.Adadelta(learning_rate=0.7, rho=rho, epsilon=1e-6)
    ours, theirs = after_steps(optimizers.build(settings)), after_steps(plain)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_plain_step_of_sgd_is_that_of_keras(sparse: bool) -> None:
    settings = SGD(learning_rate=0.25, momentum=0.0, nesterov=False)
    start, rows = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), [3, 1]
    coefficients = np.arange(6, dtype=np.float32).reshape(2, 3)

    def after(optimizer: keras.optimizers.Optimizer) -> np.ndarray:
        variable = keras.Variable(start)
        optimizer.build([variable])
        with tf.GradientTape() as tape:
            used = sgd.rows(variable.value, rows) if sparse else variable.value[1::2]
            loss = optimizer.scale_loss(tf.reduce_sum(tf.square(used) * coefficients))
        gradients = tape.gradient(loss, [variable.value])
        assert isinstance(gradients[0], sgd.RowsGradient) == sparse
        optimizer.apply(gradients, [variable])
        return np.asarray(variable)

    plain = keras.optimizers.SGD(learning_rate=0.25)
    assert sgd.is_plain(settings)
    expected = after(plain)
    np.testing.assert_allclose(after(sgd.build(settings)), expected, rtol=1e-6)
    assert not np.array_equal(expected, start)


@pytest.mark.parametrize(
    ("build", "settings"),
    [
        (optimizers.build, Adadelta(learning_rate=0.7, rho=0.9, epsilon=1e-6)),
        (sgd.build, SGD(learning_rate=0.25, momentum=0.0, nesterov=False)),
    ],
    ids=["adadelta", "sgd"],
)
def test_an_optimizer_serves_in_a_plain_fit_of_keras(
    build: Callable[[Section], keras.optimizers.Optimizer], settings: Section
) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(build(settings), loss="mse", steps_per_execution=2)
    before = np.array(model.get_weights()[0])
    model.fit(np.ones((8, 3)), np.ones(8), batch_size=2, verbose=0)
    assert not np.array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize(
    "settings",
    [
        SGD(learning_rate=0.3, momentum=0.6, nesterov=True),
        Adadelta(learning_rate=0.3, rho=0.8, epsilon=1e-5),
        Adam(learning_rate=0.3, beta_1=0.7, beta_2=0.8, epsilon=1e-5),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_an_optimizer_is_made_with_every_setting(settings: Section) -> None:
    expected = settings.model_dump()
    optimizer = optimizers.build(settings)
    assert type(optimizer).__name__.lstrip("_") == type(settings).__name__
    assert {key: optimizer.get_config()[key] for key in expected} == pytest.approx(expected)
