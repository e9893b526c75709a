"""Training: it learns, it is Keras's own in all but speed, and it gives the same bytes."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from pipeline.data import datasets, examples
from pipeline.data.datasets import Dataset, Images, Labels
from pipeline.errors import TrainingError
from pipeline.outs.artifacts import Row
from pipeline.outs.runtime import start_tensorflow
from pipeline.params import PipelineParams, TrainingParams
from pipeline.training import fit, objectives
from stages import train_classifier, train_conv_ae, train_dense_ae
from tests.conftest import optimizer
from tests.training import noisy

pytestmark = pytest.mark.usefixtures("tensorflow")

SEED, EPOCHS = 7, 3

every_model = pytest.mark.parametrize("name", ["classifier", "dense_ae", "conv_ae", "noisy"])


class Stage:
    """A model as its stage trains it, with the same first weights each time."""

    def __init__(self, name: str, params: PipelineParams) -> None:
        start_tensorflow(params.seed, params.runtime)
        self.rows: list[Row] = []
        self.objective = objectives.reconstruction()
        section = params.section("train_dense_ae" if name == "noisy" else f"train_{name}")
        self.section: TrainingParams = section
        match name:
            case "classifier":
                self.model = train_classifier.build(section, 28, 10)
                self.objective = objectives.classification(10)
            case "dense_ae":
                self.model = train_dense_ae.build(section, 28)
            case "conv_ae":
                self.model = train_conv_ae.build(section, 28)
            case "noisy":
                self.model = noisy.build(28)

    def fit(self, dataset: Dataset, seed: int = SEED, **settings: Any) -> "Stage":
        """Train on `dataset`; `settings` are put over those of params.yaml."""
        self.rows = fit.fit(
            self.model,
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
            objective=self.objective,
            section=self.section.model_copy(update={"epochs": EPOCHS} | settings),
            seed=seed,
        )
        return self

    def weights(self) -> bytes:
        """The bytes of all weights."""
        return b"".join(weight.tobytes() for weight in self.model.get_weights())

    def column(self, name: str) -> list[float]:
        """One figure of each epoch."""
        return [row[name] for row in self.rows]


@pytest.fixture(scope="module")
def finished(params: PipelineParams, digits: Dataset) -> Callable[[str], Stage]:
    """A stage that has trained, by the name of its model; others are held against it."""
    return cache(lambda name: Stage(name, params).fit(digits))


def repeated(dataset: Dataset, count: int, times: int) -> Dataset:
    """The first `count` images, over and over, to train on."""
    return Dataset(
        np.tile(dataset.train_images[:count], (times, 1, 1)),
        np.tile(dataset.train_labels[:count], times),
        dataset.test_images,
        dataset.test_labels,
        dataset.classes,
    )


def test_nothing_tunes_the_chunks_whose_tuner_the_end_of_a_long_training_would_wait_for(
    params: PipelineParams, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, fed = keras.Model.fit, []

    def watched(model: keras.Model, chunks: tf.data.Dataset, **settings: Any) -> Any:
        fed.append(chunks)
        return fit(model, chunks, **settings)

    monkeypatch.setattr(keras.Model, "fit", watched)
    Stage("dense_ae", params).fit(digits, epochs=1)
    assert [chunks.options().autotune.enabled for chunks in fed] == [False]


@every_model
def test_the_loss_falls_with_every_epoch(finished: Callable[[str], Stage], name: str) -> None:
    loss = finished(name).column("loss")
    assert loss == sorted(loss, reverse=True)
    assert loss[-1] < loss[0]


def test_the_classifier_learns_ten_images_by_heart(params: PipelineParams, digits: Dataset) -> None:
    stage = Stage("classifier", params).fit(repeated(digits, 10, times=40), batch_size=2)
    assert stage.rows[-1]["accuracy"] == 1
    assert stage.rows[-1]["loss"] < 0.1


def test_an_autoencoder_learns_ten_images_by_heart(params: PipelineParams, digits: Dataset) -> None:
    ten = repeated(digits, 10, times=100)
    stage = Stage("dense_ae", params).fit(ten, batch_size=2)
    pixels = ten.train_images[:10] / 255
    error = np.square(stage.model(ten.train_images[:10]) - pixels).mean()
    assert error < 0.01 * pixels.var()


def test_a_row_has_training_before_held_out_and_loss_before_accuracy(
    finished: Callable[[str], Stage],
) -> None:
    stage = finished("classifier")
    for row in stage.rows:
        assert list(row) == ["epoch", "loss", "accuracy", "test_loss", "test_accuracy"]
    assert stage.column("epoch") == [1, 2, 3]


@every_model
def test_training_again_gives_the_same_bytes(
    params: PipelineParams, digits: Dataset, finished: Callable[[str], Stage], name: str
) -> None:
    again = Stage(name, params).fit(digits)
    assert again.rows == finished(name).rows
    assert again.weights() == finished(name).weights()


def test_another_seed_gives_other_weights(
    params: PipelineParams, digits: Dataset, finished: Callable[[str], Stage]
) -> None:
    other = Stage("classifier", params).fit(digits, SEED + 1)
    assert other.weights() != finished("classifier").weights()


def test_the_chunks_in_which_images_reach_the_graph_change_nothing(
    params: PipelineParams,
    digits: Dataset,
    finished: Callable[[str], Stage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examples, "CHUNK_BYTES", 1)
    chunked = Stage("classifier", params).fit(digits)
    assert chunked.rows == finished("classifier").rows
    assert chunked.weights() == finished("classifier").weights()


def test_memory_mapped_images_train_the_same_model(
    params: PipelineParams, digits: Dataset, finished: Callable[[str], Stage], tmp_path: Path
) -> None:
    datasets.save(digits, tmp_path)
    mapped = datasets.load(tmp_path)
    assert isinstance(mapped.train_images, np.memmap)
    stage = Stage("classifier", params).fit(mapped)
    assert stage.weights() == finished("classifier").weights()


@pytest.mark.parametrize("name", ["classifier", "conv_ae", "noisy"])
def test_training_is_keras_fed_the_same_order(
    params: PipelineParams, digits: Dataset, finished: Callable[[str], Stage], name: str
) -> None:
    plain = Stage(name, params)
    chosen = plain.section.optimizer
    plain.model.compile(
        optimizer={"class_name": chosen.name, "config": chosen.settings.model_dump()},
        loss=plain.objective.loss,
        metrics=list(plain.objective.metrics),
    )

    def targets(images: Images, labels: Labels) -> npt.NDArray[np.float64]:
        return np.eye(10)[labels] if name == "classifier" else images / 255

    for epoch, row in enumerate(finished(name).rows):
        order = np.random.default_rng((SEED, epoch)).permutation(len(digits.train_images))
        images, labels = digits.train_images[order], digits.train_labels[order]
        history = plain.model.fit(
            images,
            targets(images, labels),
            batch_size=plain.section.batch_size,
            shuffle=False,
            validation_data=(digits.test_images, targets(digits.test_images, digits.test_labels)),
            verbose=0,
        ).history
        expected = {key.replace("val_", "test_"): value for key, (value,) in history.items()}
        assert row == pytest.approx({"epoch": epoch + 1} | expected, abs=1e-4)

    kept = finished(name).model.get_weights()
    for ours, keras_own in zip(kept, plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=1e-4)


def test_a_batch_that_is_not_full_is_trained_on(params: PipelineParams, digits: Dataset) -> None:
    stage = Stage("classifier", params)
    before = stage.weights()
    stage.fit(repeated(digits, 1, times=1), epochs=1)
    assert stage.weights() != before


def test_a_training_that_diverges_ends_with_what_may_help(
    params: PipelineParams, digits: Dataset
) -> None:
    stage = Stage("classifier", params)
    steep = stage.section.optimizer.settings.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch 1: .*nan.*smaller learning_rate"):
        stage.fit(digits, optimizer=optimizer(steep))
