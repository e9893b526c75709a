"""Train a dense autoencoder: squeeze each image through a code of 100 numbers, and give it back."""

from typing import TYPE_CHECKING

from pipeline.params import Count, TrainingParams
from pipeline.training import metrics
from pipeline.training.declaration import Task, Trained, Training

if TYPE_CHECKING:
    import keras

CODE = "code"


class Params(TrainingParams):
    """The section of params.yaml that is named after this stage."""

    code_units: Count


def build(section: Params, side: int) -> "keras.Model":
    """Images, uint8 (n, side, side), to reconstructions, (n, side, side), 0..1."""
    from keras import Input, Model, layers

    images = Input((side, side), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(images)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(section.code_units, activation="relu", name=CODE)(x)
    x = layers.Dense(side * side, activation="sigmoid", name="pixels")(x)
    x = layers.Reshape((side, side), name="reconstruction")(x)
    return Model(images, x, name="dense_ae")


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
    label="dense",
    code=CODE,
)
