"""Activity 4: the same with convolutions: 60 times fewer parameters, a code 4 times the image."""

from pipeline import evaluation, models, objectives, subpixel
from pipeline.activities.task import Task, Trained


def train(task: Task) -> Trained:
    """Build the model, train it, measure it."""
    params, dataset = task.params, task.dataset
    section = params.train_conv_ae
    model = models.conv_autoencoder(section, dataset.side)
    history = task.fit(model, section, objectives.reconstruction(), form=subpixel.fused(model))
    metrics = evaluation.autoencoder_metrics(
        model, history, dataset, params.probe, params.seed, form=subpixel.fused
    )
    return Trained(model, history, metrics)
