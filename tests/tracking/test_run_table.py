"""Runs side by side, in each form."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.tracking import run_table
from pipeline.tracking.run_table import TrackedRun
from pipeline.training import metrics

CLASSIFIER = TrackedRun(
    stage="train_classifier",
    kind="classes",
    declared=metrics.CLASSIFIER,
    started=datetime(2026, 11, 23, 12, 5, 59, tzinfo=UTC),
    commit="ce0a81b5be5562b03a4b3f2c4c3a64915017a4b8",
    dirty=False,
    fingerprint="cd48270a2d2a07d9b007fc5f29e6d2dd",
    experiment="",
    params={"seed": "42", "hidden_units": "600", "epochs": "30"},
    metrics={"train_loss": 0.1652, "test_accuracy": 0.9333, "epochs_to_target": 26, "epochs": 30},
)
BRIEF = replace(
    CLASSIFIER,
    dirty=True,
    experiment="brief",
    params={"seed": "42", "hidden_units": "64", "epochs": "4"},
    metrics={"train_loss": 0.2652, "test_accuracy": 0.9, "epochs": 4},
)
DENSE = replace(
    CLASSIFIER,
    stage="train_dense_ae",
    kind="images",
    declared=metrics.AUTOENCODER,
    params={"seed": "42", "code_units": "100", "batch_size": "32"},
    metrics={"test_bce": 0.0758, "probe_accuracy": 0.893, "parameters": 157684, "epochs": 100},
)
CONV = replace(
    DENSE,
    stage="train_conv_ae",
    params={"seed": "42", "filters": "16", "batch_size": "64"},
    metrics={"test_bce": 0.0629, "probe_accuracy": 0.893, "parameters": 2625, "epochs": 20},
)

TEXT = """\
stage             when (UTC)        commit    fingerprint  experiment  hidden_units  train_loss   test_accuracy   epochs_to_target   epochs
--------------------------------------------------------------------------------------------------------------------------------------------
train_classifier  2026-11-23 12:05  ce0a81b+  cd48270      brief                 64      0.2652          0.9000                           4
train_classifier  2026-11-23 12:05  ce0a81b   cd48270                           600      0.1652*         0.9333*                26*      30

stage           when (UTC)        commit   fingerprint  experiment  batch_size  test_bce   probe_accuracy   parameters   epochs
--------------------------------------------------------------------------------------------------------------------------------
train_dense_ae  2026-11-23 12:05  ce0a81b  cd48270                          32    0.0758           0.8930*     157,684      100
train_conv_ae   2026-11-23 12:05  ce0a81b  cd48270                          64    0.0629*          0.8930*       2,625       20"""  # noqa: E501

MARKDOWN = """\
| stage | when (UTC) | commit | fingerprint | experiment | batch_size | test_bce | probe_accuracy | parameters | epochs |
| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| train_dense_ae | 2026-11-23 12:05 | ce0a81b | cd48270 |  | 32 | 0.0758 | **0.8930** | 157,684 | 100 |
| train_conv_ae | 2026-11-23 12:05 | ce0a81b | cd48270 |  | 64 | **0.0629** | **0.8930** | 2,625 | 20 |"""  # noqa: E501


def test_the_classifier_and_the_autoencoders_have_a_table_each_with_what_differs_in_it() -> None:
    assert run_table.as_text([DENSE, BRIEF, CONV, CLASSIFIER]) == TEXT


def test_the_best_is_bold_in_markdown() -> None:
    assert run_table.as_markdown([DENSE, CONV]) == MARKDOWN


def test_a_bar_in_a_name_does_not_end_a_cell_of_markdown() -> None:
    assert r"| a\|b |" in run_table.as_markdown([replace(DENSE, experiment="a|b")])


def test_json_has_everything_unshortened_and_says_what_each_run_is_best_in() -> None:
    first, second, third = json.loads(run_table.as_json([DENSE, CLASSIFIER, CONV]))
    assert first == {
        "stage": "train_classifier",
        "started": "2026-11-23T12:05:59+00:00",
        "commit": CLASSIFIER.commit,
        "dirty": False,
        "fingerprint": CLASSIFIER.fingerprint,
        "experiment": "",
        "params": CLASSIFIER.params,
        "metrics": CLASSIFIER.metrics,
        "best": ["train_loss", "test_accuracy", "epochs_to_target"],
    }
    assert (second["best"], third["best"]) == (["probe_accuracy"], ["test_bce", "probe_accuracy"])


def test_no_runs_are_no_tables() -> None:
    assert (run_table.as_text([]), run_table.as_json([])) == ("", "[]")


def test_in_words_the_figures_read_as_in_the_table_and_what_was_not_reached_is_left_out() -> None:
    figures = {"test_accuracy": 0.93333, "epochs_to_target": None, "parameters": 477010}
    assert run_table.in_words(figures) == "test_accuracy 0.9333, parameters 477,010"
