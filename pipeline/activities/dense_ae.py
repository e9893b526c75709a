"""Activity 3: squeeze each image through a code of 100 numbers, and give it back."""

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
    section = params.train_dense_ae
    model = models.dense_autoencoder(section, dataset.side)
    if on_model:
        on_model(model)
    history = training.fit(
        model,
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
        objective=training.reconstruction(),
        section=section,
        seed=params.seed,
        memory_budget=params.runtime.memory_budget,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    metrics = evaluation.autoencoder_metrics(model, history, dataset, params.probe, params.seed)
    return Trained(model, history, metrics)
