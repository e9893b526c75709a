"""Every test runs as a stage does: params checked, runtime pinned, then the imports."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pipeline.outs import runtime
from pipeline.params import PARAMS as PARAMS_FILE
from pipeline.params import Optimizer, PipelineParams, Section, load_params

if TYPE_CHECKING:
    from pipeline.data.datasets import Dataset

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / PARAMS_FILE)
TRAIN, TEST = 400, 100  # images; 400 leave the last batch of 32 half full

# The same examples each time: 50 each take 4 s, the 200 of .ci/run 15 s.
# `pytest tests/data/test_fuzz.py --hypothesis-profile=long` tries new ones for 5 minutes.
settings.register_profile("short", max_examples=50, derandomize=True, deadline=None)
settings.register_profile("full", max_examples=200, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=8_000, deadline=10_000)  # milliseconds
settings.load_profile("short")

runtime.pin(PARAMS.runtime)
# DVC would start a process more after each command, to report on it.
os.environ["DVC_NO_ANALYTICS"] = "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The kill test's own switch, and the browser test's."""
    parser.addoption("--full-epochs", action="store_true", help="kill trainings of full length")
    parser.addoption("--screenshots", metavar="FOLDER", help="keep what the browser showed there")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import Keras before the first test module that uses it: leanly, and for no other module."""
    if not isinstance(collector, pytest.Module) or "keras" in sys.modules:
        return
    if 'usefixtures("tensorflow")' in collector.path.read_text():
        with runtime.lean_import():
            importlib.import_module("keras")


@pytest.fixture
def tensorflow(params: PipelineParams) -> None:
    """TensorFlow as a stage starts it: each test has the same seed, whichever ran before."""
    runtime.start_tensorflow(params.seed, params.runtime)


@pytest.fixture(scope="session")
def params() -> PipelineParams:
    """The committed params.yaml."""
    return PARAMS


@pytest.fixture(scope="session")
def new_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `git init` and `dvc init` make, to be copied: the latter takes a second."""
    path = tmp_path_factory.mktemp("new_repository")
    for command in ("git init --quiet --initial-branch=main", f"{sys.executable} -m dvc init -q"):
        subprocess.run(command.split(), cwd=path, check=True)
    return path


def optimizer(settings: Section) -> Optimizer:
    """One with these settings, chosen."""
    kind = type(settings).__name__.lower()
    return PARAMS.probe.optimizer.model_copy(update={"name": kind, kind: settings})


@pytest.fixture(scope="session")
def digits() -> "Dataset":
    """The first images of the committed file: 400 to train on, 100 to test on."""
    import numpy as np

    from pipeline.data import datasets
    from pipeline.data.files import readers

    path = ROOT / PARAMS.section("prepare").train_images
    images = readers.read(path, "images", "train")[: TRAIN + TEST]
    labels = readers.read(path, "labels", "train")[: TRAIN + TEST]
    return datasets.Dataset(
        images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:], np.arange(10)
    )
