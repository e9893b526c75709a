"""What a trained model is worth, on images it has not seen: pure functions to named figures."""

import math
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data import examples
from pipeline.data.datasets import Images
from pipeline.outs.artifacts import Row
from pipeline.training import forms
from pipeline.training.declaration import Task
from pipeline.training.predictions import BATCH, Floats, parts, predictor
from pipeline.training.probe import probe_accuracy

SSIM_WINDOW = 11  # pixels, with a Gaussian of sigma 1.5: Wang et al. 2004
SMALLEST_MSE = 1e-10  # caps PSNR at 100 dB: a perfect image would have an infinite one


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
    model: keras.Model, history: list[Row], task: Task[Any], code: str
) -> dict[str, Any]:
    """The metrics of an autoencoder: error on test images beside the size of the code behind it.

    `code` names the layer that gives the code.
    """
    params, dataset = task.params, task.dataset
    encode, decode = (predictor(forms.model(part)) for part in parts(model, code))
    codes = encode(dataset.test_images)
    errors = reconstruction_errors(dataset.test_images, decode(codes))
    code_size = math.prod(codes.shape[1:])
    return {
        "train_loss": history[-1]["loss"],
        "test_bce": errors.bce,
        "test_mse": errors.mse,
        "test_psnr": errors.psnr,
        "test_ssim": errors.ssim,
        "probe_accuracy": probe_accuracy(encode, codes, dataset, params.probe, params.seed),
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
    for batch in examples.in_order((images, reconstructions), BATCH):
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
