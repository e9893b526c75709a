"""Activity 2: how many epochs until a dense classifier is right on 95 % of its training images?"""

from pipeline import artifacts, datasets, evaluation, layout, models, runtime, training
from pipeline.checkpoints import Checkpoint
from pipeline.params import Params
from pipeline.progress import reporter
from pipeline.tracking.live import LiveRun

STAGE = "train_classifier"


def main(params: Params) -> None:
    """Train, measure, write the model, its history and its metrics, and log the run."""
    section = params.train_classifier
    runtime.start_tensorflow(params.seed, params.runtime)
    dataset = datasets.load(layout.PREPARED)
    classes = len(dataset.classes)
    model = models.classifier(section, dataset.side, classes)

    with Checkpoint(STAGE, params.runtime) as checkpoint, LiveRun(STAGE) as run:
        history = training.fit(
            model,
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
            objective=training.classification(classes),
            section=section,
            seed=params.seed,
            memory_budget=params.runtime.memory_budget,
            checkpoint=checkpoint,
            on_epoch=[reporter(section.epochs), run.log_epoch],
        )
        metrics = evaluation.classifier_metrics(model, history, section.target_accuracy)

        artifacts.write_model(layout.model(STAGE), model)
        artifacts.write_history(layout.history(STAGE), history)
        artifacts.write_metrics(layout.metrics(STAGE), metrics)
        run.complete()
