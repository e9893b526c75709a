"""No graph that a stage runs holds a kernel whose bits a CPU's maker chooses.

The graphs are taken as they were run: after TensorFlow's graph optimizer, which makes `rsqrt` of
other operations. `whole/test_other_cpus.py` holds the outs themselves on emulated CPUs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from pipeline import models, params
from pipeline.data.datasets import Dataset
from pipeline.params import PipelineParams
from pipeline.training import evaluation, fit, objectives
from pipeline.training.fast import lit_pixels, subpixel

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
    params.SGD(name="sgd", learning_rate=0.1, momentum=0.0, nesterov=False),
    params.SGD(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=False),
    params.SGD(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
    params.Adadelta(name="adadelta", learning_rate=1.0, rho=0.95, epsilon=1e-7),
    params.Adam(name="adam", learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
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


def fit(
    model: keras.Model,
    digits: Dataset,
    objective: objectives.Objective,
    optimizer: params.Optimizer,
) -> None:
    section = params.Training(epochs=1, batch_size=32, optimizer=optimizer)
    fit.fit(
        model,
        (digits.train_images[:40], digits.train_labels[:40]),
        (digits.test_images[:10], digits.test_labels[:10]),
        objective=objective,
        section=section,
        seed=0,
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: str(optimizer.name))
@pytest.mark.parametrize("kind", ["classifier", "lit classifier", "dense_ae", "conv_ae"])
def test_no_training_runs_an_approximate_kernel(
    params: PipelineParams, digits: Dataset, kind: str, optimizer: params.Optimizer
) -> None:
    objective = objectives.reconstruction()
    if kind == "dense_ae":
        model = models.dense_autoencoder(params.section("train_dense_ae"), digits.side)
    elif kind == "conv_ae":
        model = subpixel.fused(models.conv_autoencoder(params.section("train_conv_ae"), digits.side))
    else:
        objective = objectives.classification(len(digits.classes))
        model = models.classifier(params.section("train_classifier"), digits.side, len(digits.classes))
        if kind == "lit classifier":
            model = lit_pixels.form(model)
    with kernels() as found:
        fit(model, digits, objective, optimizer)
    assert {"MatMul", "_FusedMatMul", "_MklMatMul", "_MklNativeMatMul"} & found
    assert not APPROXIMATE & found


def test_no_measurement_runs_an_approximate_kernel(params: PipelineParams, digits: Dataset) -> None:
    probe = params.probe.model_copy(update={"epochs": 1})
    model = models.conv_autoencoder(params.section("train_conv_ae"), digits.side)
    history = [{"epoch": 1, "loss": 0.5}]
    with kernels() as found:
        evaluation.autoencoder_metrics(model, history, digits, probe, 0, form=subpixel.fused)
        evaluation.autoencoder_metrics(model, history, digits, probe, 0)
    assert "Log" in found
    assert not APPROXIMATE & found


def test_no_prediction_runs_an_approximate_kernel(params: PipelineParams, digits: Dataset) -> None:
    classifier = models.classifier(params.section("train_classifier"), digits.side, len(digits.classes))
    autoencoder = models.dense_autoencoder(params.section("train_dense_ae"), digits.side)
    with kernels() as found:
        for model in (classifier, autoencoder):
            evaluation.predictor(model)(digits.test_images)
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
