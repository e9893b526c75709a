"""Activity 3: squeeze each image through a code of 100 numbers, and give it back."""

from pipeline import artifacts, datasets, evaluation, layout, models, runtime, training
from pipeline.checkpoints import Checkpoint
from pipeline.params import Params
from pipeline.progress import reporter
from pipeline.tracking.live import LiveRun

STAGE = "train_dense_ae"


def main(params: Params) -> None:
    """Train, measure, write the model, its history and its metrics, and log the run."""
    section = params.train_dense_ae
    runtime.start_tensorflow(params.seed, params.runtime)
    dataset = datasets.load(layout.PREPARED)
    model = models.dense_autoencoder(section, dataset.side)
    print(artifacts.structure(model))

    with Checkpoint(STAGE, params.runtime) as checkpoint, LiveRun(STAGE) as run:
        history = training.fit(
            model,
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
            objective=training.reconstruction(),
            section=section,
            seed=params.seed,
            memory_budget=params.runtime.memory_budget,
            checkpoint=checkpoint,
            on_epoch=[reporter(section.epochs), run.log_epoch],
        )
        metrics = evaluation.autoencoder_metrics(model, history, dataset, params.probe, params.seed)

        artifacts.write_model(layout.model(STAGE), model)
        artifacts.write_history(layout.history(STAGE), history)
        artifacts.write_metrics(layout.metrics(STAGE), metrics)
        run.complete()
