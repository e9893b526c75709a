"""Activity 2: how many epochs until a dense classifier is right on 95 % of its training images?"""

from pipeline import evaluation, lit_pixels, models, objectives, optimizers
from pipeline.activities.task import Task, Trained


def train(task: Task) -> Trained:
    """Build the model, train it, measure it."""
    params, dataset = task.params, task.dataset
    section, classes = params.train_classifier, len(dataset.classes)
    model = models.classifier(section, dataset.side, classes)
    form = lit_pixels.form(model) if optimizers.is_plain(section.optimizer) else model
    history = task.fit(model, section, objectives.classification(classes), form=form)
    metrics = evaluation.classifier_metrics(model, history, section.target_accuracy)
    return Trained(model, history, metrics)
