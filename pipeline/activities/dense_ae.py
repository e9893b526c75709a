"""Activity 3: squeeze each image through a code of 100 numbers, and give it back."""

from pipeline import evaluation, models, objectives
from pipeline.activities.task import Task, Trained


def train(task: Task) -> Trained:
    """Build the model, train it, measure it."""
    params, dataset = task.params, task.dataset
    section = params.train_dense_ae
    model = models.dense_autoencoder(section, dataset.side)
    history = task.fit(model, section, objectives.reconstruction())
    metrics = evaluation.autoencoder_metrics(model, history, dataset, params.probe, params.seed)
    return Trained(model, history, metrics)
