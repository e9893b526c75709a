"""No graph that a stage runs holds a kernel whose bits a CPU's maker chooses.

The graphs are taken as they were run: after TensorFlow's graph optimizer, which makes `rsqrt` of
other operations. `whole/test_same_bytes.py` holds the outs themselves on emulated CPUs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from pipeline import params
from pipeline.data.datasets import Dataset
from pipeline.params import PipelineParams
from pipeline.training import evaluation, fit, forms, objectives
from pipeline.training.declaration import Task
from pipeline.training.predictions import predictor
from stages import train_classifier, train_conv_ae, train_dense_ae
from tests.conftest import optimizer as chosen

pytestmark = pytest.mark.usefixtures("tensorflow")

# What TensorFlow computes by Eigen's float `rsqrt` or `reciprocal`, which begin with RSQRTPS or
# RCPPS. Of the dense ones, the bits were seen to differ between an Intel CPU and emulated ones;
# those of the other activations, losses and optimizers' kernels were seen not to.
APPROXIMATE = {
    *("Rsqrt", "Reciprocal", "Inv"),
    *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx"),
    *("ResourceApplyAdadelta", "ResourceSparseApplyAdadelta"),
    *("ResourceApplyAdagrad", "ResourceSparseApplyAdagrad"),
    *("ResourceApplyProximalAdagrad", "ResourceSparseApplyProximalAdagrad"),
    *("ResourceSparseApplyRMSProp", "ResourceSparseApplyCenteredRMSProp"),
}
OPTIMIZERS = [
    params.SGD(learning_rate=0.1, momentum=0.0, nesterov=False),
    params.SGD(learning_rate=0.1, momentum=0.9, nesterov=False),
    params.SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
    params.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7),
    params.Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
]


@contextmanager
def kernels() -> Iterator[set[str]]:
    """The names of the operations in all graphs that the block runs, filled in as it ends."""
    found: set[str] = set()
    here = context.context()
    here.enable_graph_collection()
    try:
        yield found
        collected = here.export_run_metadata()
    finally:
        here.disable_graph_collection()
    for function in collected.function_graphs:
        for graph in (function.post_optimization_graph, *function.partition_graphs):
            found |= {node.op for node in graph.node}
            found |= {node.op for inner in graph.library.function for node in inner.node_def}


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, no model has a faster form, as one that is no chain."""
    return lambda: monkeypatch.setattr(forms, "model", lambda plain, _=None: plain)


@pytest.fixture(params=["fast", "as written"])
def form(request: pytest.FixtureRequest, as_written: Callable[[], None]) -> None:
    """Which form of a model is trained."""
    if request.param == "as written":
        as_written()


def train(
    model: keras.Model,
    digits: Dataset,
    objective: objectives.Objective,
    settings: params.Section,
) -> None:
    section = params.TrainingParams(epochs=1, batch_size=32, optimizer=chosen(settings))
    fit.fit(
        model,
        (digits.train_images[:40], digits.train_labels[:40]),
        (digits.test_images[:10], digits.test_labels[:10]),
        objective=objective,
        section=section,
        seed=0,
    )


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=lambda settings: type(settings).__name__)
@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("stage", ["train_classifier", "train_dense_ae", "train_conv_ae"])
def test_no_training_runs_an_approximate_kernel(
    params: PipelineParams, digits: Dataset, stage: str, settings: params.Section
) -> None:
    objective, section = objectives.reconstruction(), params.section(stage)
    match stage:
        case "train_dense_ae":
            model = train_dense_ae.build(section, digits.side)
        case "train_conv_ae":
            model = train_conv_ae.build(section, digits.side)
        case _:
            objective = objectives.classification(len(digits.classes))
            model = train_classifier.build(section, digits.side, len(digits.classes))
    with kernels() as found:
        train(model, digits, objective, settings)
    assert any("MatMul" in name or "Conv2D" in name for name in found)
    assert not APPROXIMATE & found


def test_no_measurement_runs_an_approximate_kernel(
    params: PipelineParams, digits: Dataset, as_written: Callable[[], None]
) -> None:
    probe = params.probe.model_copy(update={"epochs": 1})
    model = train_conv_ae.build(params.section("train_conv_ae"), digits.side)
    history = [{"epoch": 1, "loss": 0.5}]
    section = params.section("train_conv_ae")
    task = Task(section, params.model_copy(update={"probe": probe}), digits)
    with kernels() as found:
        evaluation.autoencoder_metrics(model, history, task, "code")
        as_written()
        evaluation.autoencoder_metrics(model, history, task, "code")
    assert "Log" in found
    assert not APPROXIMATE & found


def test_no_prediction_runs_an_approximate_kernel(params: PipelineParams, digits: Dataset) -> None:
    classifier = train_classifier.build(
        params.section("train_classifier"), digits.side, len(digits.classes)
    )
    autoencoder = train_dense_ae.build(params.section("train_dense_ae"), digits.side)
    with kernels() as found:
        for model in (classifier, autoencoder):
            predictor(model)(digits.test_images)
    assert not APPROXIMATE & found


@pytest.mark.parametrize(
    "function",
    [
        tf.math.rsqrt,
        tf.math.reciprocal,
        lambda x: x / tf.sqrt(x + 1),
        lambda x: tf.ones_like(x) / x,
    ],
    ids=["rsqrt", "reciprocal", "x / sqrt(y)", "1 / x"],
)
def test_what_is_or_becomes_an_approximate_kernel_is_found(
    function: Callable[[tf.Tensor], tf.Tensor],
) -> None:
    with kernels() as found:
        tf.function(lambda x: function(x) * 2)(tf.constant(np.linspace(1, 2, 64, dtype="f4")))
    assert APPROXIMATE & found
