"""Training in the graph: a whole epoch's mini-batches in one TensorFlow call, inside Keras's `fit`.

Plain `fit` calls into the graph once a batch, and for models this small that overhead is most of
the time: 2.5-3 x (see docs/design.md). Here a "step" of `fit` is a chunk of many batches.
Callbacks, averages of metrics and optimizers are Keras's own, but for how Adadelta and SGD update.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import tensorflow as tf

from pipeline import params
from pipeline.data import examples
from pipeline.data.examples import Examples
from pipeline.errors import TrainingError
from pipeline.outs import artifacts
from pipeline.outs.artifacts import Row
from pipeline.training import forms
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.objectives import Objective

OnEpoch = Callable[[Row], None]
EVALUATION_BATCH = 64  # examples; of larger ones, feature maps no longer fit a core's cache


def fit(
    model: keras.Model,
    train: Examples,
    test: Examples | None,
    *,
    objective: Objective,
    section: params.TrainingParams,
    seed: int,
    memory_budget: float = math.inf,
    checkpoint: Checkpoint | None = None,
    on_epoch: Sequence[OnEpoch] = (),
) -> list[Row]:
    """Train `model` in place.

    Args:
        model: takes batches of `train[0]`.
        train: inputs (n, ...) and labels (n,).
        test: likewise, held out; measured after each epoch and never trained on. None: no such.
        objective: target, loss and metrics.
        section: epochs, batch size and optimizer.
        seed: each epoch's order follows from (seed, epoch) alone, so that a run can continue at
            any epoch with the order it would have had.
        memory_budget: MiB; of larger inputs so much is read at a time, which changes the order.
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
    settings = section.optimizer.settings
    model, objective = forms.model(model, settings), forms.objective(objective)
    trainer = _Trainer(model, objective, section.batch_size)
    trainer.compile(
        optimizer=forms.optimizer(settings),
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

    size, done = examples.chunk_size(train[0], section.batch_size), len(rows)

    def chunks() -> Iterator[Examples]:
        budget = memory_budget * 2**20
        epochs = range(done, section.epochs)
        return examples.shuffled(train, size, seed=seed, epochs=epochs, budget=budget)

    def held_out() -> Row:
        if not test:
            return {}
        return trainer.measure(
            examples.in_order(test, examples.chunk_size(test[0], EVALUATION_BATCH))
        )

    trainer.fit(
        _dataset(chunks, train),
        initial_epoch=done,
        epochs=section.epochs,
        steps_per_epoch=-(-len(train[0]) // size),
        callbacks=[_History(rows, held_out, receivers)],
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

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        def train(batch: tf.Tensor, labels: tf.Tensor) -> None:
            targets = self.objective.targets(batch, labels)
            with tf.GradientTape() as tape:
                outputs = self.model(batch, training=True)
                loss = self.compute_loss(y=targets, y_pred=outputs)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, self.model.trainable_weights)
            self.optimizer.apply(gradients, self.model.trainable_weights)
            self._measure(loss, targets, outputs)

        _each_batch(data, self.batch_size, train)
        return self.get_metrics_result()

    @tf.function(reduce_retracing=True, autograph=False)
    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        def test(batch: tf.Tensor, labels: tf.Tensor) -> None:
            targets = self.objective.targets(batch, labels)
            outputs = self.model(batch, training=False)
            self._measure(self.compute_loss(y=targets, y_pred=outputs), targets, outputs)

        _each_batch(data, EVALUATION_BATCH, test)
        return self.get_metrics_result()

    def measure(self, chunks: Iterable[Examples]) -> Row:
        """Loss and metrics on `chunks`: Keras's `evaluate`, less 30 ms of iterators an epoch."""
        self.reset_metrics()
        for inputs, labels in chunks:
            figures = self.test_step((tf.constant(inputs), tf.constant(labels)))
        return {name: float(value) for name, value in figures.items()}

    def _measure(self, loss: tf.Tensor, targets: tf.Tensor, outputs: tf.Tensor) -> None:
        # Weighted by the batch, as Keras does it: the last one may be smaller. By the size of the
        # targets: a loss that is computed from the sigmoid's input leaves the outputs unneeded.
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(targets)[0])
        for metric in self.metrics:
            if metric is not self._loss_tracker:
                metric.update_state(targets, outputs)


def _each_batch(
    data: tuple[tf.Tensor, tf.Tensor], size: int, step: Callable[[tf.Tensor, tf.Tensor], None]
) -> None:
    """Do `step` with each `size` of `data`, in a loop in the graph."""
    inputs, labels = data

    def body(start: tf.Tensor) -> tuple[tf.Tensor]:
        step(inputs[start : start + size], labels[start : start + size])
        return (start + size,)

    tf.while_loop(lambda start: start < tf.shape(inputs)[0], body, (0,))


class _History(keras.callbacks.Callback):
    """Adds a row an epoch to `rows`, with `held_out` figures as `test_`, and passes it on."""

    def __init__(
        self, rows: list[Row], held_out: Callable[[], Row], receivers: Sequence[OnEpoch]
    ) -> None:
        super().__init__()
        self.rows = rows
        self.held_out = held_out
        self.receivers = receivers

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        both = logs | {f"test_{name}": value for name, value in self.held_out().items()}
        figures = {name: round(float(both[name]), artifacts.DECIMALS) for name in both}
        if not all(map(math.isfinite, figures.values())):
            raise TrainingError(
                f"epoch {epoch + 1}: found {figures}, expected finite numbers; "
                "a smaller learning_rate may help"
            )
        # Training before held out, loss before metrics; Keras sorts by name.
        names = sorted(figures, key=lambda name: ("test_" in name, "loss" not in name))
        row: Row = {"epoch": epoch + 1} | {name: figures[name] for name in names}
        self.rows.append(row)
        for receive in self.receivers:
            receive(row)


def _dataset(chunks: Callable[[], Iterator[Examples]], like: Examples) -> tf.data.Dataset:
    # Shapes leave the number of examples open: the last chunk is smaller, the graph the same.
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in like)
    dataset = tf.data.Dataset.from_generator(chunks, output_signature=signature).prefetch(1)
    # There is nothing to tune, and the tuner sleeps for up to a minute between its looks: the end
    # of `fit` waited for it to wake, 20 to 40 s after a training of a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
