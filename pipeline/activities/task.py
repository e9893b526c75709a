"""What every activity takes, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pipeline import artifacts, layout, training
from pipeline.artifacts import Row
from pipeline.checkpoints import Checkpoint
from pipeline.datasets import Dataset
from pipeline.objectives import Objective
from pipeline.params import Params, Training
from pipeline.training import OnEpoch


@dataclass(frozen=True)
class Task:
    """What an activity is to be done with; TensorFlow has been started with the seed of `params`.

    Attributes:
        params: of which the activity's own section counts, the seed, and the memory budget; for an
            autoencoder, `probe` too.
        dataset: the images to train on, and those to measure on.
        checkpoint: keeps the state after each epoch; training goes on from the one it holds.
        on_model: called with the model before it is trained.
        on_epoch: called with each row of the history as it is made.
    """

    params: Params
    dataset: Dataset
    checkpoint: Checkpoint | None = None
    on_model: Callable[[keras.Model], None] | None = None
    on_epoch: Sequence[OnEpoch] = ()

    def fit(
        self,
        model: keras.Model,
        section: Training,
        objective: Objective,
        *,
        form: keras.Model | None = None,
    ) -> list[Row]:
        """Train `model` in place, and return its history.

        Args:
            model: of the activity.
            section: of the params.
            objective: what it is trained for.
            form: a faster one of the same function, with the variables of `model`.

        Raises:
            TrainingError: a loss or metric is no finite number.
        """
        params, dataset = self.params, self.dataset
        if self.on_model:
            self.on_model(model)
        return training.fit(
            form or model,
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
            objective=objective,
            section=section,
            seed=params.seed,
            memory_budget=params.runtime.memory_budget,
            checkpoint=self.checkpoint,
            on_epoch=self.on_epoch,
        )


@dataclass(frozen=True)
class Trained:
    """A model with what is known of it.

    Attributes:
        model: as it is after the last epoch.
        history: a row an epoch.
        metrics: the final ones; None where a target was not reached.
    """

    model: keras.Model
    history: list[Row]
    metrics: dict[str, Any]

    def write(self, stage: str, root: Path = Path()) -> None:
        """Write the files that `stage` leaves, below `root`."""
        artifacts.write_model(root / layout.model(stage), self.model)
        artifacts.write_history(root / layout.history(stage), self.history)
        artifacts.write_metrics(root / layout.metrics(stage), self.metrics)


Activity = Callable[[Task], Trained]  # the `train` of each module here
