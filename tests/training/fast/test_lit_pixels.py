"""A dense layer on lit pixels alone: the same function, variables and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.datasets import Dataset, Images
from pipeline.params import SGD, PipelineParams
from pipeline.training import fast
from stages import train_classifier

pytestmark = pytest.mark.usefixtures("tensorflow")

PLAIN = SGD(learning_rate=0.01, momentum=0.0, nesterov=False)


@pytest.fixture
def model(params: PipelineParams) -> keras.Model:
    """A classifier with biases, too, that are not zero."""
    model = train_classifier.build(params.section("train_classifier"), 28, 10)
    for variable in model.weights:
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.1))
    return model


def batches(digits: Dataset) -> dict[str, Images]:
    """Images that light some pixels, one, all and none."""
    one = np.zeros((1, 28, 28), np.uint8)
    one[0, 5, 7] = 200
    return {
        "some": digits.train_images[:32],
        "one": one,
        "all": np.full((2, 28, 28), 255, np.uint8),
        "none": np.zeros((3, 28, 28), np.uint8),
    }


every_batch = pytest.mark.parametrize("lit", ["some", "one", "all", "none"])


@every_batch
def test_the_form_is_the_same_function(model: keras.Model, digits: Dataset, lit: str) -> None:
    images = batches(digits)[lit]
    np.testing.assert_allclose(fast.model(model, PLAIN)(images), model(images), atol=1e-6, rtol=0)


@every_batch
def test_the_form_has_the_same_gradients(model: keras.Model, digits: Dataset, lit: str) -> None:
    images = batches(digits)[lit]

    def gradients(function: keras.Model) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            error = -tf.reduce_mean(tf.math.log(function(images)[:, 3]))
        computed = tape.gradient(error, [weight.value for weight in model.trainable_weights])
        return [tf.convert_to_tensor(gradient) for gradient in computed]

    for form, plain in zip(gradients(fast.model(model, PLAIN)), gradients(model), strict=True):
        np.testing.assert_allclose(form, plain, atol=1e-6, rtol=0)


def test_the_gradient_of_the_weights_has_rows_for_lit_pixels_alone(
    model: keras.Model, digits: Dataset
) -> None:
    images = digits.train_images[:32]
    kernel = model.get_layer("hidden").kernel.value
    with tf.GradientTape() as tape:
        error = tf.reduce_sum(tf.square(fast.model(model, PLAIN)(images)))
    gradient = tape.gradient(error, kernel)
    lit = np.flatnonzero(images.reshape(32, -1).any(axis=0))
    np.testing.assert_array_equal(gradient.indices, lit)
    assert len(lit) < 0.7 * kernel.shape[0]


def test_a_step_of_training_reads_and_writes_rows_of_the_weights_once(
    model: keras.Model, params: PipelineParams
) -> None:
    form = fast.model(model, PLAIN)
    optimizer = fast.optimizer(params.section("train_classifier").optimizer.settings)
    optimizer.build(form.trainable_variables)

    @tf.function
    def step(images: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            error = tf.reduce_sum(tf.square(form(images)))
        with tf.name_scope("step"):  # the first of a graph's names has to begin with a letter
            optimizer.apply(tape.gradient(error, form.trainable_weights), form.trainable_weights)

    graph = step.get_concrete_function(tf.TensorSpec((None, 28, 28), tf.uint8)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("ResourceGather") == kinds.count("ResourceScatterUpdate") == 1
