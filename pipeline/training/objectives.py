"""What models are trained for: targets, and a loss and metrics of each example."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

Measure = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """What a model is trained for.

    Attributes:
        targets: maps a batch of inputs and labels to what the model should put out.
        loss: maps targets and outputs to the losses to be averaged.
        metrics: likewise, known by the functions' names.
    """

    targets: Measure
    loss: Measure
    metrics: tuple[Measure, ...] = ()


def classification(classes: int) -> Objective:
    """Tell one of `classes` labels, as one-hot vectors."""
    return Objective(
        targets=lambda inputs, labels: tf.one_hot(labels, classes),  # noqa: ARG005
        loss=keras.losses.categorical_crossentropy,
        metrics=(accuracy,),
    )


def reconstruction() -> Objective:
    """Give back the image, scaled to 0..1."""
    return Objective(
        targets=lambda images, labels: tf.cast(images, tf.float32) / 255,  # noqa: ARG005
        loss=keras.losses.binary_crossentropy,
    )


def accuracy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """1 for each row of `outputs` whose largest is that of `targets`, 0 for the others."""
    return keras.metrics.categorical_accuracy(targets, outputs)
