"""A model file: the same bytes whenever, wherever and after whatever it is written."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.data.datasets import Dataset
from pipeline.outs import model_archive
from pipeline.outs.runtime import start_tensorflow
from pipeline.params import PipelineParams
from pipeline.training.predictions import predictor
from stages import train_conv_ae, train_dense_ae

pytestmark = pytest.mark.usefixtures("tensorflow")

ELSEWHERE = """
import sys
from pathlib import Path
from pipeline.outs import paths, runtime
from pipeline.params import PARAMS, load_params

params = load_params(PARAMS)
runtime.pin(params.runtime)
runtime.start_tensorflow(params.seed, params.runtime)
from pipeline.outs import model_archive
from stages import train_conv_ae
model_archive.write(Path(sys.argv[1]), train_conv_ae.build(params.section("train_conv_ae"), 28))
"""


@pytest.fixture
def model(params: PipelineParams) -> keras.Model:
    return train_conv_ae.build(params.section("train_conv_ae"), 28)


@pytest.fixture
def written(model: keras.Model, tmp_path: Path) -> Path:
    path = tmp_path / "conv_ae.keras"
    model_archive.write(path, model)
    return path


def test_a_model_built_after_others_is_written_with_the_same_bytes(
    params: PipelineParams, written: Path, tmp_path: Path
) -> None:
    train_dense_ae.build(params.section("train_dense_ae"), 28)
    start_tensorflow(params.seed, params.runtime)
    again = tmp_path / "again.keras"
    model_archive.write(again, train_conv_ae.build(params.section("train_conv_ae"), 28))
    assert again.read_bytes() == written.read_bytes()
    assert again.with_suffix(".txt").read_bytes() == written.with_suffix(".txt").read_bytes()


def test_another_process_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.keras"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", ELSEWHERE, elsewhere], cwd=root, check=True)
    assert elsewhere.read_bytes() == written.read_bytes()


def test_a_written_model_loads_in_safe_mode_and_predicts_the_same(
    model: keras.Model, written: Path, digits: Dataset
) -> None:
    loaded = keras.saving.load_model(written, compile=False, safe_mode=True)
    np.testing.assert_array_equal(
        predictor(loaded)(digits.test_images),
        predictor(model)(digits.test_images),
    )


def test_a_model_file_knows_no_time_and_no_address(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {model_archive.ZIP_EPOCH}
        assert json.loads(archive.read("metadata.json"))["date_saved"] == ""
        numbers = re.findall(r'"shared_object_id": (\d+)', archive.read("config.json").decode())
    assert {int(number) for number in numbers} == set(range(len(set(numbers))))


def test_the_structure_beside_a_model_names_its_layers_and_parameters(written: Path) -> None:
    structure = written.with_suffix(".txt").read_text()
    assert re.search(r"^total +2,625$", structure, re.MULTILINE)
    for layer in ("conv", "pool", "code", "upsample", "pixels", "reconstruction"):
        assert re.search(rf"^{layer} ", structure, re.MULTILINE)
    assert max(map(len, structure.splitlines())) <= 80


def test_writing_a_model_leaves_nothing_else_behind(written: Path) -> None:
    assert {path.name for path in written.parent.iterdir()} == {"conv_ae.keras", "conv_ae.txt"}
