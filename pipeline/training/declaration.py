"""What the stage file of a training declares, what its `train` is given, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pipeline import stage_files
from pipeline.outs import artifacts, paths
from pipeline.outs.artifacts import Row
from pipeline.params import PipelineParams, TrainingParams
from pipeline.training.metrics import Metric

if TYPE_CHECKING:
    import keras

    from pipeline.data.datasets import Dataset
    from pipeline.training.checkpoints import Checkpoint
    from pipeline.training.fit import OnEpoch
    from pipeline.training.objectives import Objective

Own = TypeVar("Own", bound=TrainingParams)
NOUNS = {"classes": "classifier", "images": "autoencoder"}


@dataclass(frozen=True)
class Task(Generic[Own]):
    """What a training works with; TensorFlow has been started with the seed of `params`.

    Attributes:
        section: its own section of params.yaml.
        params: of which the seed, the memory budget and, for an autoencoder, `probe` count.
        dataset: the images to train on, and those to measure on after each epoch, if any.
        checkpoint: keeps the state after each epoch; training goes on from the one it holds.
        on_model: called with the model before it is trained.
        on_epoch: called with each row of the history as it is made.
    """

    section: Own
    params: PipelineParams
    dataset: "Dataset"
    checkpoint: "Checkpoint | None" = None
    on_model: "Callable[[keras.Model], None] | None" = None
    on_epoch: "Sequence[OnEpoch]" = ()

    def fit(self, model: "keras.Model", objective: "Objective") -> list[Row]:
        """Train `model` for `objective`, in place, as `section` says; return its history.

        Raises:
            TrainingError: a loss or metric is no finite number.
        """
        from pipeline.training.fit import fit

        if self.on_model:
            self.on_model(model)
        data = self.dataset
        held_out = (data.test_images, data.test_labels) if len(data.test_images) else None
        return fit(
            model,
            (data.train_images, data.train_labels),
            held_out,
            objective=objective,
            section=self.section,
            seed=self.params.seed,
            memory_budget=self.params.runtime.memory_budget,
            checkpoint=self.checkpoint,
            on_epoch=self.on_epoch,
        )


@dataclass(frozen=True)
class Trained:
    """A model with what is known of it.

    Attributes:
        model: as it is after the last epoch.
        history: a row an epoch.
        metrics: the final ones, of those that are declared; None where a target was not reached.
    """

    model: "keras.Model"
    history: list[Row]
    metrics: dict[str, Any]

    def write(self, stage: str, root: Path = Path()) -> None:
        """Write the files that `stage` leaves, below `root`."""
        from pipeline.outs import model_archive

        model_archive.write(root / paths.model(stage), self.model)
        artifacts.write_history(root / paths.history(stage), self.history)
        artifacts.write_metrics(root / paths.metrics(stage), self.metrics)


@dataclass(frozen=True)
class Training:
    """What everything else takes from a training's stage file: tables, figures, MLflow, sweeps.

    Attributes:
        train: builds the model, trains it, measures it.
        output: what the model makes of images: probabilities of classes, or images again.
        metrics: the final ones, in the order of tables.
        gate: the one by which a model becomes champion, unless params.yaml says otherwise.
        label: distinguishes it from others of its kind: "dense", of a dense autoencoder.
        code: the layer whose output is the code, in an autoencoder.
    """

    train: Callable[[Task[Any]], Trained]
    output: Literal["classes", "images"]
    metrics: tuple[Metric, ...]
    gate: str
    label: str = ""
    code: str = ""

    @property
    def title(self) -> str:
        """What people call it: dense autoencoder."""
        return f"{self.label} {NOUNS[self.output]}".strip()

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            KeyError: none is declared.
        """
        return {metric.name: metric for metric in self.metrics}[name]


def models() -> list[str]:
    """What the models of dvc.yaml's trainings are called."""
    return [paths.model(stage).stem for stage in trainings()]


def trainings(root: Path = Path()) -> dict[str, Training]:
    """Those of dvc.yaml, by stage."""
    return stage_files.declared("TRAINING", stage_files.names(root))
