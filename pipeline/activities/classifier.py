"""Activity 2: how many epochs until a dense classifier is right on 95 % of its training images?"""

from collections.abc import Sequence

from pipeline import evaluation, models, training
from pipeline.activities.trained import OnModel, Trained
from pipeline.checkpoints import Checkpoint
from pipeline.datasets import Dataset
from pipeline.params import Params
from pipeline.training import OnEpoch


def train(
    params: Params,
    dataset: Dataset,
    *,
    checkpoint: Checkpoint | None = None,
    on_model: OnModel | None = None,
    on_epoch: Sequence[OnEpoch] = (),
) -> Trained:
    """Build, train and measure, as `Activity` has it."""
    section = params.train_classifier
    classes = len(dataset.classes)
    model = models.classifier(section, dataset.side, classes)
    if on_model:
        on_model(model)
    history = training.fit(
        model,
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
        objective=training.classification(classes),
        section=section,
        seed=params.seed,
        memory_budget=params.runtime.memory_budget,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    metrics = evaluation.classifier_metrics(model, history, section.target_accuracy)
    return Trained(model, history, metrics)
