"""Train a convolutional autoencoder: 60 times fewer parameters, a code 4 times the image."""

from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.params import Count, TrainingParams
from pipeline.training import metrics
from pipeline.training.declaration import Task, Trained, Training

if TYPE_CHECKING:
    import keras

CODE = "code"


class Params(TrainingParams):
    """The section of params.yaml that is named after this stage."""

    filters: Count
    kernel_size: Count


def build(section: Params, side: int) -> "keras.Model":
    """Images, uint8 (n, side, side), to reconstructions, (n, side, side), 0..1.

    The code is the output of the second convolution, (n, side / 2, side / 2, filters).

    Raises:
        DataError: `side` is odd, so that pooling and upsampling would not give it back.
    """
    from keras import Input, Model, layers

    if side % 2:
        raise DataError(
            f"train_conv_ae: found images of {side} x {side} pixels, expected even sides, which "
            f"halve and double without loss; pad the images to {side + 1} x {side + 1}"
        )
    filters, kernel = section.filters, section.kernel_size
    images = Input((side, side), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(images)
    x = layers.Reshape((side, side, 1), name="channel")(x)
    x = layers.Conv2D(filters, kernel, activation="relu", padding="same", name="conv")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(filters, kernel, activation="relu", padding="same", name=CODE)(x)
    x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Conv2D(1, kernel, activation="sigmoid", padding="same", name="pixels")(x)
    x = layers.Reshape((side, side), name="reconstruction")(x)
    return Model(images, x, name="conv_ae")


def train(task: Task[Params]) -> Trained:
    """Train it to give back its images."""
    from pipeline.training import evaluation, objectives

    model = build(task.section, task.dataset.side)
    history = task.fit(model, objectives.reconstruction())
    return Trained(model, history, evaluation.autoencoder_metrics(model, history, task, CODE))


TRAINING = Training(
    train,
    output="images",
    metrics=metrics.AUTOENCODER,
    gate="test_bce",
    label="convolutional",
    code=CODE,
)
