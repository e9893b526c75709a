"""Training in the graph: a whole epoch's mini-batches in one TensorFlow call, inside Keras's `fit`.

Plain `fit` calls into the graph once a batch, and for models this small that overhead is most of
the time: 2.5-3 x (see docs/design.md). Here a "step" of `fit` is a chunk of many batches.
Callbacks, history, optimizers and losses stay Keras's own.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import artifacts, optimizers, params
from pipeline.artifacts import Row
from pipeline.checkpoints import Checkpoint
from pipeline.errors import TrainingError

Array = npt.NDArray[Any]
OnEpoch = Callable[[Row], None]

CHUNK_BYTES = 16 * 2**20  # of inputs handed to the graph at a time, so memory stays bounded
EVALUATION_BATCH = 256  # examples; larger ones no longer fit a core's cache and are no faster


@dataclass(frozen=True)
class Objective:
    """What a model is trained for.

    Attributes:
        targets: maps a batch of inputs and labels to what the model should put out.
        loss: a Keras loss by name.
        metrics: Keras metrics by name.
    """

    targets: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    loss: str
    metrics: tuple[str, ...] = ()


def classification(classes: int) -> Objective:
    """Tell one of `classes` labels, as one-hot vectors."""
    return Objective(
        targets=lambda inputs, labels: tf.one_hot(labels, classes),  # noqa: ARG005
        loss="categorical_crossentropy",
        metrics=("accuracy",),
    )


def reconstruction() -> Objective:
    """Give back the image, scaled to 0..1."""
    return Objective(
        targets=lambda images, labels: tf.cast(images, tf.float32) / 255,  # noqa: ARG005
        loss="binary_crossentropy",
    )


def fit(
    model: keras.Model,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    *,
    objective: Objective,
    section: params.Training,
    seed: int,
    checkpoint: Checkpoint | None = None,
    on_epoch: Sequence[OnEpoch] = (),
) -> list[Row]:
    """Train `model` in place.

    Args:
        model: takes batches of `train[0]`.
        train: inputs (n, ...) and labels (n,).
        test: likewise, held out; measured after each epoch and never trained on.
        objective: target, loss and metrics.
        section: epochs, batch size and optimizer.
        seed: each epoch's order follows from (seed, epoch) alone, so that a run can continue at
            any epoch with the order it would have had.
        checkpoint: keeps the state after each epoch; training goes on from the one it holds, to
            the very weights that it would have reached without a break.
        on_epoch: called with each row as it is made.

    Raises:
        TrainingError: a loss or metric is no finite number.

    Returns:
        A row an epoch: `epoch` from 1; `loss` and metrics as Keras reports them, means over the
        epoch's batches while the weights changed; and the same after the epoch on `test`, as
        `test_loss` and so on.
    """
    trainer = _Trainer(model, objective, section.batch_size)
    trainer.compile(
        optimizer=optimizers.build(section.optimizer),
        loss=objective.loss,
        metrics=list(objective.metrics),
        jit_compile=False,  # XLA compiles for the CPU at hand: other machines, other bytes
    )
    trainer.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *trainer.optimizer.variables]
    rows: list[Row] = []
    receivers = list(on_epoch)
    if checkpoint:
        rows = checkpoint.restore(variables)
        receivers.insert(0, lambda _: checkpoint.save(variables, rows))

    size, done = _chunk_size(train[0], section.batch_size), len(rows)
    trainer.fit(
        _dataset(lambda: _shuffled(train, size, seed, done), train, tf.data.INFINITE_CARDINALITY),
        initial_epoch=done,
        epochs=section.epochs,
        steps_per_epoch=_chunks(train, size),
        validation_data=_dataset(lambda: _in_order(test, size), test, _chunks(test, size)),
        callbacks=[_History(rows, receivers)],
        shuffle=False,
        verbose=0,
    )
    return rows


class _Trainer(keras.Model):
    """Trains `model` a chunk of batches at a time; its weights are the model's."""

    def __init__(self, model: keras.Model, objective: Objective, batch_size: int) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.batch_size = batch_size

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.model(inputs, training=training)

    @tf.function  # so that AutoGraph turns the loop into one in the graph
    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, labels = data
        for start in tf.range(0, tf.shape(inputs)[0], self.batch_size):
            batch = inputs[start : start + self.batch_size]
            targets = self.objective.targets(batch, labels[start : start + self.batch_size])
            with tf.GradientTape() as tape:
                outputs = self.model(batch, training=True)
                loss = self.compute_loss(y=targets, y_pred=outputs)
            gradients = tape.gradient(loss, self.model.trainable_weights)
            self.optimizer.apply(gradients, self.model.trainable_weights)
            self._measure(loss, targets, outputs)
        return self.get_metrics_result()

    @tf.function
    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, labels = data
        for start in tf.range(0, tf.shape(inputs)[0], EVALUATION_BATCH):
            batch = inputs[start : start + EVALUATION_BATCH]
            targets = self.objective.targets(batch, labels[start : start + EVALUATION_BATCH])
            outputs = self.model(batch, training=False)
            self._measure(self.compute_loss(y=targets, y_pred=outputs), targets, outputs)
        return self.get_metrics_result()

    def _measure(self, loss: tf.Tensor, targets: tf.Tensor, outputs: tf.Tensor) -> None:
        # Weighted by the batch, as Keras does it: the last one may be smaller.
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(outputs)[0])
        for metric in self.metrics:
            if metric is not self._loss_tracker:
                metric.update_state(targets, outputs)


class _History(keras.callbacks.Callback):
    """Adds a row an epoch to `rows`, with `test_` where Keras says `val_`, and passes it on."""

    def __init__(self, rows: list[Row], receivers: Sequence[OnEpoch]) -> None:
        super().__init__()
        self.rows = rows
        self.receivers = receivers

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        figures = {
            name.replace("val_", "test_"): round(float(value), artifacts.DECIMALS)
            for name, value in logs.items()
        }
        if not all(map(math.isfinite, figures.values())):
            raise TrainingError(
                f"epoch {epoch + 1}: found {figures}, expected finite numbers; "
                "a smaller optimizer.learning_rate may help"
            )
        # Training before held out, loss before metrics; Keras sorts by name.
        names = sorted(figures, key=lambda name: ("test_" in name, "loss" not in name))
        row: Row = {"epoch": epoch + 1} | {name: figures[name] for name in names}
        self.rows.append(row)
        for receive in self.receivers:
            receive(row)


def _chunk_size(inputs: Array, batch_size: int) -> int:
    """As many whole batches as fit `CHUNK_BYTES`: the chunks don't change what is computed."""
    batches = CHUNK_BYTES // (inputs[:1].nbytes * batch_size)
    return max(int(batches), 1) * batch_size


def _shuffled(
    data: tuple[Array, Array], size: int, seed: int, first_epoch: int
) -> Iterator[tuple[Array, Array]]:
    inputs, labels = data
    for epoch in itertools.count(first_epoch):
        order = np.random.default_rng((seed, epoch)).permutation(len(inputs))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield inputs[chosen], labels[chosen]


def _in_order(data: tuple[Array, Array], size: int) -> Iterator[tuple[Array, Array]]:
    inputs, labels = data
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size], labels[start : start + size]


def _chunks(data: tuple[Array, Array], size: int) -> int:
    return -(-len(data[0]) // size)


def _dataset(
    chunks: Callable[[], Iterator[tuple[Array, Array]]], data: tuple[Array, Array], count: int
) -> tf.data.Dataset:
    # Shapes leave the number of examples open: the last chunk is smaller, the graph the same.
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in data)
    dataset = tf.data.Dataset.from_generator(chunks, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(1)
