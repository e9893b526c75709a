"""What every activity takes, and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras

from pipeline import artifacts, layout
from pipeline.artifacts import Row
from pipeline.checkpoints import Checkpoint
from pipeline.datasets import Dataset
from pipeline.params import Params
from pipeline.training import OnEpoch

OnModel = Callable[[keras.Model], None]


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


class Activity(Protocol):
    """The `train` of each module here: build a model, train it, measure it."""

    def __call__(
        self,
        params: Params,
        dataset: Dataset,
        *,
        checkpoint: Checkpoint | None = None,
        on_model: OnModel | None = None,
        on_epoch: Sequence[OnEpoch] = (),
    ) -> Trained:
        """Train; TensorFlow has been started with the seed of `params`.

        Args:
            params: of which the activity's own section counts, the seed, and the memory budget; for
                an autoencoder, `probe` too.
            dataset: the images to train on, and those to measure on.
            checkpoint: keeps the state after each epoch; training goes on from the one it holds.
            on_model: called with the model before it is trained.
            on_epoch: called with each row of the history as it is made.

        Raises:
            TrainingError: a loss or metric is no finite number.
        """
