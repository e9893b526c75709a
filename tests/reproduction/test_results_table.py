"""The results table."""

import shutil
from pathlib import Path

import pytest

from pipeline import stage_files
from pipeline.outs import artifacts, paths
from pipeline.reproduction import results_table

CLASSIFIER = {
    "train_loss": 0.1723,
    "train_accuracy": 0.9546,
    "test_loss": 0.2481,
    "test_accuracy": 0.9308,
    "parameters": 477010,
    "epochs": 30,
    "epochs_to_target": 25,
}
AUTOENCODER = {
    "train_loss": 0.07514,
    "test_bce": 0.07512,
    "probe_accuracy": 0.9012,
    "parameters": 158284,
    "code_size": 3136,
    "epochs": 100,
}

TABLE = """\
model       train loss  held-out error  parameters  code size  probe  epochs
----------------------------------------------------------------------------
classifier      0.1723     6.92% wrong     477,010                        30
dense_ae        0.0751      0.0751 bce     158,284      3,136  90.1%     100
conv_ae         0.0636      0.0751 bce     158,284      3,136  90.1%     100

epochs_to_target (classifier): 25; right in the end: \
95.5% of training images, 93.1% of test images"""


@pytest.fixture(autouse=True)
def metrics_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(stage_files.PIPELINE, tmp_path)
    monkeypatch.chdir(tmp_path)
    artifacts.write_metrics(paths.metrics("train_classifier"), CLASSIFIER)
    artifacts.write_metrics(paths.metrics("train_dense_ae"), AUTOENCODER)
    artifacts.write_metrics(paths.metrics("train_conv_ae"), AUTOENCODER | {"train_loss": 0.06361})


def test_the_results_are_an_aligned_table_and_a_sentence() -> None:
    assert results_table.results() == TABLE


def test_columns_stay_aligned_when_a_number_is_wide() -> None:
    wide = AUTOENCODER | {"parameters": 123_456_789_012}
    artifacts.write_metrics(paths.metrics("train_conv_ae"), wide)
    table = results_table.results().split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1
    assert "123,456,789,012" in table[-1]


def test_a_target_that_was_not_reached_is_said_to_be_so() -> None:
    artifacts.write_metrics(
        paths.metrics("train_classifier"), CLASSIFIER | {"epochs_to_target": None}
    )
    assert "epochs_to_target (classifier): not reached;" in results_table.results()
