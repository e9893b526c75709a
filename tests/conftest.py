"""Every test runs as a stage does: params checked, runtime pinned, then the imports."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline import layout, runtime
from pipeline.params import Params, load_params

if TYPE_CHECKING:
    from pipeline.datasets import Dataset

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / layout.PARAMS)
TRAIN, TEST = 400, 100  # images; 400 leave the last batch of 32 half full

runtime.pin(PARAMS.runtime)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import Keras before the first test module that uses it: leanly, and for no other module."""
    if not isinstance(collector, pytest.Module) or "keras" in sys.modules:
        return
    if 'usefixtures("tensorflow")' in collector.path.read_text():
        with runtime.lean_import():
            importlib.import_module("keras")


@pytest.fixture
def tensorflow(params: Params) -> None:
    """TensorFlow as a stage starts it: each test has the same seed, whichever ran before."""
    runtime.start_tensorflow(params.seed, params.runtime)


@pytest.fixture(scope="session")
def params() -> Params:
    """The committed params.yaml."""
    return PARAMS


@pytest.fixture(scope="session")
def digits() -> "Dataset":
    """The first images of the committed file: 400 to train on, 100 to test on."""
    import numpy as np

    from pipeline import datasets, readers

    path = ROOT / PARAMS.prepare.train_images
    images = readers.read(path, "images", "train")[: TRAIN + TEST]
    labels = readers.read(path, "labels", "train")[: TRAIN + TEST]
    return datasets.Dataset(
        images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:], np.arange(10)
    )
