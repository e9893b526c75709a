"""Evaluation: figures that can be worked out by hand come out so."""

import keras
import numpy as np
import pytest

from pipeline.data.datasets import Dataset, Images
from pipeline.figures.plane import principal_plane
from pipeline.params import PipelineParams
from pipeline.training import evaluation
from pipeline.training.declaration import Task
from pipeline.training.predictions import Floats, parts, predictor
from pipeline.training.probe import probe_accuracy
from stages import train_classifier, train_conv_ae, train_dense_ae
from tests.training.noisy import build as build_noisy

pytestmark = pytest.mark.usefixtures("tensorflow")

AUTOENCODER_METRICS = [
    "train_loss",
    "test_bce",
    "test_mse",
    "test_psnr",
    "test_ssim",
    "probe_accuracy",
    "parameters",
    "code_size",
    "compression",
    "epochs",
]


def scaled(images: Images) -> Floats:
    return (images / 255).astype(np.float32)


def noisy(images: Images) -> Floats:
    noise = np.random.default_rng(0).normal(0, 0.2, images.shape)
    return np.clip(images / 255 + noise, 0, 1).astype(np.float32)


def test_a_perfect_reconstruction_has_no_error(digits: Dataset) -> None:
    errors = evaluation.reconstruction_errors(digits.train_images, scaled(digits.train_images))
    assert errors.mse == pytest.approx(0)
    assert errors.psnr == pytest.approx(100)
    assert errors.ssim == pytest.approx(1)


@pytest.mark.parametrize(("offset", "mse", "psnr"), [(0.1, 0.01, 20), (0.5, 0.25, 6.0206)])
def test_a_known_offset_has_the_error_worked_out_by_hand(
    offset: float, mse: float, psnr: float
) -> None:
    grey = np.full((3, 28, 28), 51, np.uint8)
    errors = evaluation.reconstruction_errors(grey, scaled(grey) + np.float32(offset))
    assert errors.mse == pytest.approx(mse, rel=1e-5)
    assert errors.psnr == pytest.approx(psnr, rel=1e-4)


def test_binary_cross_entropy_is_keras_own(digits: Dataset) -> None:
    images = digits.train_images
    errors = evaluation.reconstruction_errors(images, noisy(images))
    expected = keras.losses.BinaryCrossentropy()(images / 255, noisy(images))
    assert errors.bce == pytest.approx(float(expected), rel=1e-5)


def test_errors_are_means_of_those_of_each_image(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 3)
    images = digits.train_images[:5]
    together = evaluation.reconstruction_errors(images, noisy(images))
    alone = [
        evaluation.reconstruction_errors(images[one], noisy(images)[one])
        for one in np.split(np.arange(len(images)), len(images))
    ]
    for name in ("bce", "mse", "psnr", "ssim"):
        each = [getattr(errors, name) for errors in alone]
        assert getattr(together, name) == pytest.approx(np.mean(each), rel=1e-5)
        assert np.std(each) > 0


def test_squared_errors_are_those_of_each_image(digits: Dataset) -> None:
    images = digits.test_images[:5]
    each = evaluation.squared_errors(images, noisy(images))
    assert each.shape == (5,)
    assert evaluation.reconstruction_errors(images, noisy(images)).mse == pytest.approx(each.mean())


@pytest.mark.parametrize("side", [8, 28])
def test_structural_similarity_falls_with_noise(digits: Dataset, side: int) -> None:
    low = (28 - side) // 2
    images = digits.test_images[:, low : low + side, low : low + side]
    assert evaluation.reconstruction_errors(images, scaled(images)).ssim == pytest.approx(1)
    assert evaluation.reconstruction_errors(images, noisy(images)).ssim < 0.9


@pytest.mark.parametrize(("target", "epoch"), [(0.5, 1), (0.8, 2), (0.9, 3), (0.99, None)])
def test_epochs_to_target_is_the_first_epoch_to_reach_it(
    params: PipelineParams, target: float, epoch: int | None
) -> None:
    history = [
        {"epoch": index, "loss": 1, "accuracy": accuracy, "test_loss": 1, "test_accuracy": 1}
        for index, accuracy in enumerate((0.6, 0.8, 0.95, 0.7), start=1)
    ]
    model = train_classifier.build(params.section("train_classifier"), 28, 10)
    assert evaluation.classifier_metrics(model, history, target)["epochs_to_target"] == epoch


@pytest.mark.parametrize(("name", "code_size"), [("dense", 100), ("conv", 3136)])
def test_an_autoencoders_metrics_are_those_of_the_contract(
    params: PipelineParams, digits: Dataset, name: str, code_size: int
) -> None:
    model = (
        train_dense_ae.build(params.section("train_dense_ae"), 28)
        if name == "dense"
        else train_conv_ae.build(params.section("train_conv_ae"), 28)
    )
    history = [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.6}]
    metrics = evaluation.autoencoder_metrics(
        model, history, Task(params.section("train_dense_ae"), params, digits), "code"
    )

    assert list(metrics) == AUTOENCODER_METRICS
    assert metrics["train_loss"] == 0.6
    assert metrics["epochs"] == 2
    assert metrics["parameters"] == model.count_params()
    assert metrics["code_size"] == code_size
    assert metrics["compression"] == 784 / code_size
    assert metrics["probe_accuracy"] > 0.5


def test_a_probe_tells_apart_what_the_codes_keep_apart(params: PipelineParams) -> None:
    assert accuracy_of_probe(params, bright=255) > 0.99


def test_a_probe_is_at_chance_where_all_codes_are_alike(params: PipelineParams) -> None:
    assert accuracy_of_probe(params, bright=0) == pytest.approx(1 / 4)


def accuracy_of_probe(params: PipelineParams, bright: int) -> float:
    """Of codes of four kinds of image, each with a quarter of its rows `bright`."""
    labels = np.tile(np.arange(4, dtype=np.uint8), 50)
    images = np.zeros((len(labels), 8, 8), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] = bright
    dataset = Dataset(images, labels, images, labels, np.arange(4))
    model = train_dense_ae.build(params.section("train_dense_ae"), 8)
    encoder, _ = parts(model, "code")
    encode = predictor(encoder)
    codes = encode(dataset.test_images)
    return probe_accuracy(encode, codes, dataset, params.probe, params.seed)


def exact_plane(codes: Floats) -> tuple[Floats, Floats]:
    """The points, without sign, and the shares of variance by a full decomposition."""
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    left, singular, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return np.abs(left[:, :2] * singular[:2]), singular[:2] ** 2 / np.square(singular).sum()


def test_the_principal_plane_is_the_exact_one(digits: Dataset) -> None:
    codes = scaled(digits.train_images)
    plane = principal_plane(codes)
    points, share = exact_plane(codes)
    np.testing.assert_allclose(np.abs(plane.points), points, atol=1e-3)
    np.testing.assert_allclose(plane.share, share, rtol=1e-4)


def test_the_principal_plane_shows_each_components_longest_side_as_positive(
    digits: Dataset,
) -> None:
    codes = scaled(digits.train_images)
    for plane in (principal_plane(codes), principal_plane(-codes)):
        assert (plane.points.max(axis=0) == np.abs(plane.points).max(axis=0)).all()


@pytest.mark.parametrize("codes", [np.ones((5, 1)), np.arange(5.0)[:, None], np.zeros((5, 4))])
def test_codes_of_one_number_or_all_alike_still_have_a_plane(codes: Floats) -> None:
    plane = principal_plane(codes.astype(np.float32))
    assert plane.points.shape == (5, 2)
    assert np.isfinite(plane.share).all()


def test_the_parts_of_a_sequential_model_are_the_whole(digits: Dataset) -> None:
    model = build_noisy(28)
    encode, decode = map(predictor, parts(model, "code"))
    codes = encode(digits.test_images)
    assert codes.shape == (len(digits.test_images), 32)
    np.testing.assert_allclose(decode(codes), predictor(model)(digits.test_images), atol=1e-6)
