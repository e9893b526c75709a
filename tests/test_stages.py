"""The models: what goes in, what comes out, and how many numbers lie between."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from pipeline.data.datasets import Dataset
from pipeline.errors import DataError
from pipeline.params import PipelineParams
from pipeline.training.predictions import parts, predictor
from pipeline.training.probe import linear_probe
from stages import train_classifier, train_conv_ae, train_dense_ae

pytestmark = pytest.mark.usefixtures("tensorflow")

Build = Callable[[PipelineParams, int], keras.Model]


def classifier(params: PipelineParams, side: int, classes: int = 10) -> keras.Model:
    return train_classifier.build(params.section("train_classifier"), side, classes)


def dense(params: PipelineParams, side: int) -> keras.Model:
    return train_dense_ae.build(params.section("train_dense_ae"), side)


def conv(params: PipelineParams, side: int) -> keras.Model:
    return train_conv_ae.build(params.section("train_conv_ae"), side)


every_model = pytest.mark.parametrize("build", [classifier, dense, conv])
every_autoencoder = pytest.mark.parametrize("build", [dense, conv])


@pytest.mark.parametrize(
    ("build", "count"), [(classifier, 477_010), (dense, 157_684), (conv, 2_625)]
)
def test_the_models_have_the_textbooks_numbers_of_parameters(
    params: PipelineParams, build: Build, count: int
) -> None:
    assert build(params, 28).count_params() == count


@pytest.mark.parametrize(("build", "shape"), [(dense, (100,)), (conv, (14, 14, 16))])
def test_a_code_has_the_shape_that_the_params_give_it(
    params: PipelineParams, build: Build, shape: tuple[int, ...]
) -> None:
    assert parts(build(params, 28), "code")[0].output_shape == (None, *shape)


def test_the_classifier_gives_each_raw_image_a_distribution(
    params: PipelineParams, digits: Dataset
) -> None:
    probabilities = predictor(classifier(params, 28))(digits.test_images)
    assert probabilities.shape == (len(digits.test_images), 10)
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(1)


@every_autoencoder
def test_an_autoencoder_gives_each_raw_image_one_of_its_size_from_0_to_1(
    params: PipelineParams, digits: Dataset, build: Build
) -> None:
    reconstructions = predictor(build(params, 28))(digits.test_images)
    assert reconstructions.shape == digits.test_images.shape
    assert reconstructions.min() >= 0
    assert reconstructions.max() <= 1


@every_model
def test_a_model_scales_raw_images_itself(
    params: PipelineParams, digits: Dataset, build: Build
) -> None:
    model = build(params, 28)
    scaled = keras.Model(model.input, model.get_layer("scale").output)(digits.test_images)
    np.testing.assert_allclose(scaled, digits.test_images / 255, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 47])
def test_the_classifier_fits_any_number_of_classes(params: PipelineParams, classes: int) -> None:
    assert classifier(params, 28, classes).output_shape == (None, classes)


@pytest.mark.parametrize("side", [8, 16, 32])
@every_autoencoder
def test_an_autoencoder_fits_images_of_another_size(
    params: PipelineParams, build: Build, side: int
) -> None:
    assert build(params, side).output_shape == (None, side, side)


def test_an_odd_side_is_refused_with_the_size_to_pad_to(params: PipelineParams) -> None:
    with pytest.raises(DataError, match=r"15 x 15 pixels.*even.*pad the images to 16 x 16"):
        conv(params, 15)


@every_model
def test_a_model_is_the_same_whatever_was_built_before(
    params: PipelineParams, build: Build
) -> None:
    assert build(params, 28).get_config() == build(params, 28).get_config()


def test_the_probe_is_linear_in_the_codes() -> None:
    probe = linear_probe(code_size=100, classes=10)
    assert probe.count_params() == 100 * 10 + 10
    assert probe.output_shape == (None, 10)
