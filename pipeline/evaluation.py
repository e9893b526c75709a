"""What a trained model is worth, on images it has not seen: pure functions to named figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import feeding, models, objectives, params, training
from pipeline.artifacts import Row
from pipeline.datasets import Dataset, Images

Floats = npt.NDArray[np.float32]
Predict = Callable[[Images | Floats], Floats]

BATCH = 128  # larger ones no longer fit a core's cache
SSIM_WINDOW = 11  # pixels, with a Gaussian of sigma 1.5: Wang et al. 2004
SMALLEST_MSE = 1e-10  # caps PSNR at 100 dB: a perfect image would have an infinite one
PROBE_CODES = 60_000  # at most so many training codes: MNIST's own number ...
PROBE_BYTES = 256 * 2**20  # ... and at most so much: 21,000 of 3,136 numbers


@dataclass(frozen=True)
class Reconstruction:
    """Errors of reconstructions against originals scaled to 0..1, means over images.

    Attributes:
        bce: mean binary cross-entropy of a pixel, nats.
        mse: mean squared error of a pixel.
        psnr: peak signal-to-noise ratio, dB: 10 log10(1 / mse), at most 100.
        ssim: structural similarity, -1..1 (Wang et al. 2004).
    """

    bce: float
    mse: float
    psnr: float
    ssim: float


def classifier_metrics(
    model: keras.Model, history: list[Row], target_accuracy: float
) -> dict[str, Any]:
    """The metrics of the classifier, from its history."""
    last = history[-1]
    reached = (row["epoch"] for row in history if row["accuracy"] >= target_accuracy)
    return {
        "train_loss": last["loss"],
        "train_accuracy": last["accuracy"],
        "test_loss": last["test_loss"],
        "test_accuracy": last["test_accuracy"],
        "parameters": model.count_params(),
        "epochs": len(history),
        "epochs_to_target": next(reached, None),
    }


def autoencoder_metrics(
    model: keras.Model,
    history: list[Row],
    dataset: Dataset,
    probe: params.Training,
    seed: int,
    *,
    form: Callable[[keras.Model], keras.Model] = lambda part: part,
) -> dict[str, Any]:
    """The metrics of an autoencoder: error on test images beside the size of the code behind it.

    `form` gives a faster model of the same function as the encoder, or the decoder, that it is
    called with.
    """
    encode, decode = (predictor(form(part)) for part in models.parts(model))
    codes = encode(dataset.test_images)
    errors = reconstruction_errors(dataset.test_images, decode(codes))
    code_size = math.prod(codes.shape[1:])
    return {
        "train_loss": history[-1]["loss"],
        "test_bce": errors.bce,
        "test_mse": errors.mse,
        "test_psnr": errors.psnr,
        "test_ssim": errors.ssim,
        "probe_accuracy": probe_accuracy(encode, codes, dataset, probe, seed),
        "parameters": model.count_params(),
        "code_size": code_size,
        # Numbers in an image for each number in its code; below 1 the "code" is larger.
        "compression": dataset.side**2 / code_size,
        "epochs": len(history),
    }


def reconstruction_errors(images: Images, reconstructions: Floats) -> Reconstruction:
    """Errors of `reconstructions`, float32 (n, side, side), against their images, uint8."""
    shape = (None, *images.shape[1:])  # one graph for all batches; the last may be smaller
    signature = tf.TensorSpec(shape, tf.uint8), tf.TensorSpec(shape, tf.float32)
    errors = tf.function(_errors, input_signature=signature, autograph=False)
    sums = np.zeros(len(fields(Reconstruction)))
    for batch in feeding.in_order((images, reconstructions), BATCH):
        sums += len(batch[0]) * np.array(errors(*batch), np.float64)
    return Reconstruction(*map(float, sums / len(images)))


def _errors(images: tf.Tensor, restored: tf.Tensor) -> tuple[tf.Tensor, ...]:
    original = tf.cast(images, tf.float32) / 255
    bce = tf.reduce_mean(keras.losses.binary_crossentropy(original, restored))
    mse = tf.reduce_mean(tf.square(original - restored), axis=(1, 2))
    psnr = -10 * tf.math.log(tf.maximum(mse, SMALLEST_MSE)) / math.log(10)
    # Images as channels, over which `tf.image.ssim` averages: its filter is 3 times as fast so.
    channels = (tf.transpose(pixels, (1, 2, 0)) for pixels in (original, restored))
    window = min(SSIM_WINDOW, images.shape[1])
    ssim = tf.image.ssim(*channels, max_val=1.0, filter_size=window)
    return bce, tf.reduce_mean(mse), tf.reduce_mean(psnr), ssim


def squared_errors(images: Images, reconstructions: Floats) -> Floats:
    """Each image's mean squared error of a pixel, as in `reconstruction_errors`, (n,)."""
    return np.square(images / np.float32(255) - reconstructions).mean(axis=(1, 2))


def probe_accuracy(
    encode: Predict,
    test_codes: Floats,
    dataset: Dataset,
    section: params.Training,
    seed: int,
) -> float:
    """How well a linear classifier tells the classes from the codes alone, on `test_codes`.

    The usual measure of a representation ("linear evaluation"): what a code keeps of the image
    but hides from a linear model does not count.
    """
    test = test_codes.reshape(len(test_codes), -1)
    count = min(PROBE_CODES, PROBE_BYTES // test[:1].nbytes)
    train = encode(dataset.train_images[:count]).reshape(-1, test.shape[1])
    classes = len(dataset.classes)
    probe = models.linear_probe(train.shape[1], classes)
    training.fit(
        probe,
        (train, dataset.train_labels[:count]),
        None,
        objective=objectives.classification(classes),
        section=section,
        seed=seed,
    )
    right = predictor(probe)(test).argmax(axis=1) == dataset.test_labels
    return float(right.mean())


def predictor(model: keras.Model) -> Predict:
    """A function from inputs to the outputs of `model`, float32 (n, ...)."""
    # Keras's own `predict` gives the same numbers, and takes 1.5 times as long: its data loader
    # gathers each batch image by image. It also traces a graph for each size of the last batch.
    signature = tf.TensorSpec(model.input.shape, model.input.dtype)
    graph = tf.function(model, input_signature=(signature,), autograph=False)

    def predict(inputs: Images | Floats) -> Floats:
        outputs = np.empty((len(inputs), *model.output_shape[1:]), np.float32)
        for start in range(0, len(inputs), BATCH):
            outputs[start : start + BATCH] = graph(inputs[start : start + BATCH])
        return outputs

    return predict


@dataclass(frozen=True)
class Plane:
    """Codes on the plane of their two first principal components.

    Attributes:
        points: (n, 2).
        share: (2,), each component's share of the codes' variance, 0..1.
    """

    points: Floats
    share: Floats


def principal_plane(codes: Floats) -> Plane:
    """Project `codes`, (n, ...), n at least 3, by principal component analysis.

    By subspace iteration on a few random directions (Halko et al. 2011, algorithm 4.4): an exact
    decomposition of codes as long as the convolutional ones takes 50 times as long.
    """
    flat = codes.reshape(len(codes), -1)
    flat = np.pad(flat - flat.mean(axis=0), ((0, 0), (0, max(2 - flat.shape[1], 0))))
    directions = np.random.default_rng(0).standard_normal((flat.shape[1], 10), np.float32)
    for _ in range(10):
        directions, _ = np.linalg.qr(flat.T @ (flat @ directions))
    left, singular, _ = np.linalg.svd(flat @ directions, full_matrices=False)
    points = left[:, :2] * singular[:2]
    # A component's sign is arbitrary: make its largest coordinate positive.
    extremes = points[np.abs(points).argmax(axis=0), [0, 1]]
    variance = max(np.square(flat).sum(), np.finfo(np.float32).tiny)  # codes may all be alike
    return Plane(points * np.where(extremes < 0, -1, 1), singular[:2] ** 2 / variance)
