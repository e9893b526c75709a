"""Train a dense classifier: after how many epochs is it right on 95 % of its training images?"""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.params import Count, TrainingParams
from pipeline.training import metrics
from pipeline.training.declaration import Task, Trained, Training

if TYPE_CHECKING:
    import keras


class Params(TrainingParams):
    """The section of params.yaml that is named after this stage."""

    hidden_units: Count
    target_accuracy: Annotated[float, Field(gt=0, le=1)]


def build(section: Params, side: int, classes: int) -> "keras.Model":
    """Images, uint8 (n, side, side), to class probabilities, (n, classes)."""
    from keras import Input, Model, layers

    images = Input((side, side), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(images)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(section.hidden_units, activation="relu", name="hidden")(x)
    x = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return Model(images, x, name="classifier")


def train(task: Task[Params]) -> Trained:
    """Train it to tell the class of an image."""
    from pipeline.training import evaluation, objectives

    classes = len(task.dataset.classes)
    model = build(task.section, task.dataset.side, classes)
    history = task.fit(model, objectives.classification(classes))
    target = task.section.target_accuracy
    return Trained(model, history, evaluation.classifier_metrics(model, history, target))


TRAINING = Training(
    train,
    output="classes",
    metrics=metrics.CLASSIFIER,
    gate="test_accuracy",
)
