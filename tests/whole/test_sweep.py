"""Sweeps and cross-validation: real Ray, real trainings, and what is kept of them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from pipeline.outs import dvc_lock, paths
from pipeline.tracking import trials
from pipeline.tracking.trials import Trial
from tests.whole.listening import beyond_loopback
from tests.whole.mlflow_server import free_port
from tests.whole.repositories import Repository, copied

pytestmark = pytest.mark.exhaustive

DIVERGES = 1e30  # a learning rate
SWEEP = """\
stage: {stage}
metric: {metric}
trials: {trials}
searcher: {searcher}
seed: 1
early_stopping: {early_stopping}
params: {params}
search: {search}
"""


def write_sweep(repository: Repository, search: dict[str, Any], **others: Any) -> None:
    """sweep.yaml of the dense autoencoder, if `others` don't say otherwise."""
    content = {
        "stage": "train_dense_ae",
        "metric": "test_bce",
        "trials": 3,
        "searcher": "grid",
        "early_stopping": False,
        "params": {"train_dense_ae.epochs": 2},
        "search": search,
    } | others
    written = {key: json.dumps(value) for key, value in content.items()}
    (repository.path / "sweep.yaml").write_text(SWEEP.format(**written))


def sweep(repository: Repository, *options: str, code: int = 0, **variables: str) -> str:
    return repository.python("-m", "pipeline", "sweep", *options, code=code, **variables)


def kept(repository: Repository) -> list[Trial]:
    """The trials of the only sweep there is."""
    (folder,) = (repository.path / paths.SWEEPS).iterdir()
    return trials.read(folder)


def runs_of(repository: Repository, kind: str = "sweep") -> tuple[Run, list[Run]]:
    """The run of the only sweep in MLflow, and those of its trials."""
    found = [run for run in repository.runs() if f"{kind}.id" in run.data.tags]
    below = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    (whole,) = (run for run in found if run not in below)
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {whole.info.run_id}
    return whole, sorted(below, key=lambda run: int(run.data.tags[f"{kind}.trial"]))


@pytest.fixture(scope="module")
def swept(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository after a sweep of three learning rates, one of which diverges."""
    clone = copied(repository, tmp_path_factory.mktemp("sweep") / "clone")
    rates = {"train_dense_ae.optimizer.adadelta.learning_rate": {"choices": [0.5, 1.0, DIVERGES]}}
    write_sweep(clone, rates)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "sweep"],
        cwd=clone.path,
        env=clone.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    first = process.stdout.readline()
    listening = beyond_loopback(process.pid)
    rest, _ = process.communicate()
    assert process.returncode == 0, first + rest
    (clone.path / "printed").write_text(first + rest)
    (clone.path / "listening").write_text("\n".join(listening))
    return clone


@pytest.fixture
def copy(swept: Repository, tmp_path: Path) -> Repository:
    """The swept repository once more, to change."""
    return copied(swept, tmp_path / "copy")


def test_each_trial_is_told_as_it_ends_then_all_and_how_to_have_the_best_again(
    swept: Repository,
) -> None:
    lines = (swept.path / "printed").read_text().splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["trial 1/3", "trial 2/3", "trial 3/3"]
    assert sum("failed: epoch 1: found" in line for line in lines) == 1
    assert lines[-1].startswith("the best again: dvc exp run -S train_dense_ae.epochs=2 -S ")
    best = min(trial.metrics["test_bce"] for trial in kept(swept) if trial.status == "finished")
    table = lines[lines.index("") + 1 : -2]
    assert table[2].split()[2] == f"{best:.4f}"
    assert len(table) == 2 + 3


def test_ray_listens_on_loopback_alone(swept: Repository) -> None:
    assert (swept.path / "listening").read_text() == ""


def test_the_best_trial_applied_gives_the_same_bytes_as_a_stage(copy: Repository) -> None:
    before = (copy.path / "params.yaml").read_text().splitlines()
    assert "written to params.yaml" in sweep(copy, "--resume", "--apply")
    after = (copy.path / "params.yaml").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    best = min(
        (trial for trial in kept(copy) if trial.status == "finished"),
        key=lambda trial: trial.metrics["test_bce"],
    )
    assert "the best again" in sweep(copy, "--resume")  # what was applied makes it no other sweep
    rate = best.chosen["train_dense_ae.optimizer.adadelta.learning_rate"]
    assert len(changed) == (1 if rate == 1.0 else 2)  # epochs, and the rate if it is another

    copy.python("-m", "stages", "train_dense_ae", PIPELINE_TRACKING="off")
    assert dvc_lock.hashes(best.outs, copy.path) == best.outs
    assert str(paths.model("train_dense_ae")) in best.outs


def test_each_trial_is_a_run_below_one_of_the_whole(swept: Repository) -> None:
    whole, below = runs_of(swept)
    ended = kept(swept)
    assert whole.info.status == "FINISHED"
    assert len(below) == len(ended) == 3
    ordinary = next(run for run in swept.runs() if run.info.run_name == "dense_ae")
    for run, trial in zip(below, ended, strict=True):
        assert run.info.status == {"finished": "FINISHED", "failed": "FAILED"}[trial.status]
        assert run.data.params.keys() == ordinary.data.params.keys()
        rate = trial.chosen["train_dense_ae.optimizer.adadelta.learning_rate"]
        assert float(run.data.params["optimizer.adadelta.learning_rate"]) == rate
        assert trial.metrics.items() <= run.data.metrics.items()
        losses = swept.client.get_metric_history(run.info.run_id, "loss")
        assert [point.value for point in losses] == [row["loss"] for row in trial.history]
        entry = swept.client.download_artifacts(run.info.run_id, "dvc.lock.yaml")
        assert all(md5 in Path(entry).read_text() for md5 in trial.outs.values())
        files = {file.path for file in swept.client.list_artifacts(run.info.run_id)}
        assert ("training_curve.png" in files) == bool(trial.history)
        assert "dvc.fingerprint" not in run.data.tags  # so `promote` and `track` never take it
    best = min(trial.metrics["test_bce"] for trial in ended if trial.metrics)
    assert whole.data.metrics["test_bce"] == best
    table = json.loads(
        Path(swept.client.download_artifacts(whole.info.run_id, "trials.json")).read_text()
    )
    assert len(table["data"]) == 3


def test_trials_are_compared_among_themselves_and_not_with_other_runs(
    repository: Repository, swept: Repository
) -> None:
    def compared(where: Repository, *options: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(
            where.python("-m", "pipeline", "compare", "--json", *options)
        )
        return rows

    assert compared(swept) == compared(repository)
    whole, _ = runs_of(swept)
    assert len(compared(swept, "--tag", f"sweep.id={whole.data.tags['sweep.id']}")) == 2


def test_when_mlflow_is_away_a_line_says_so_and_resuming_makes_up_for_it(copy: Repository) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    printed = sweep(copy, "--resume", MLFLOW_TRACKING_URI=away)
    (line,) = re.findall(r"warning: not in MLflow: .*", printed)
    assert "`python -m pipeline sweep --resume` makes it up" in line
    (copy.path / "mlflow.db").unlink()
    sweep(copy, "--resume")
    sweep(copy, "--resume")
    _, below = runs_of(copy)
    assert [run.data.tags["sweep.trial"] for run in below] == ["1", "2", "3"]


def test_a_sweep_is_not_resumed_with_other_params_or_begun_over_an_interrupted_one(
    copy: Repository,
) -> None:
    (folder,) = (copy.path / paths.SWEEPS).iterdir()
    (folder / "0003.json").unlink()
    printed = sweep(copy, code=1)
    assert "found 2 of 3 trials, expected none; --resume goes on with them" in printed
    copy.edit_params(lambda text: text.replace("seed: 42", "seed: 43"))
    assert "found no sweep of sweep.yaml" in sweep(copy, "--resume", code=1)


@pytest.mark.parametrize(
    ("stage", "metric", "key"),
    [
        ("train_classifier", "test_accuracy", "train_classifier.hidden_units"),
        ("train_conv_ae", "test_ssim", "train_conv_ae.filters"),
    ],
)
def test_a_trial_of_the_other_trainings_gives_the_bytes_of_their_stage(
    repository: Repository, tmp_path: Path, stage: str, metric: str, key: str
) -> None:
    clone = copied(repository, tmp_path / "clone")
    search = {key: {"choices": [5]}}
    others = {"stage": stage, "metric": metric, "params": {f"{stage}.epochs": 2}}
    write_sweep(clone, search, trials=1, **others)
    sweep(clone, "--apply")
    clone.python("-m", "stages", stage, PIPELINE_TRACKING="off")
    (trial,) = kept(clone)
    assert dvc_lock.hashes(trial.outs, clone.path) == trial.outs


def test_optuna_draws_from_ranges_and_early_stopping_ends_what_is_not_among_the_best(
    repository: Repository, tmp_path: Path
) -> None:
    clone = copied(repository, tmp_path / "clone")
    search = {
        "train_dense_ae.code_units": {"integers": [2, 40]},
        "train_dense_ae.optimizer.adadelta.learning_rate": {"loguniform": [0.0001, 2.0]},
    }
    others = {"metric": "test_loss", "params": {"train_dense_ae.epochs": 12}}
    write_sweep(clone, search, trials=6, searcher="optuna", early_stopping=True, **others)
    printed = sweep(clone)
    ended = kept(clone)
    assert len(ended) == 6
    for trial in ended:
        rate = trial.chosen["train_dense_ae.optimizer.adadelta.learning_rate"]
        assert rate == float(f"{rate:.4g}")
        assert 2 <= trial.chosen["train_dense_ae.code_units"] <= 40
        assert len(trial.history) == 12 or trial.status == "stopped"
    stopped = [trial for trial in ended if trial.status == "stopped"]
    assert stopped
    assert printed.count("stopped after") == len(stopped)
    statuses = [run.info.status for run in runs_of(clone)[1]]
    assert statuses.count("KILLED") == len(stopped)


def test_folds_are_measured_on_what_they_hold_out(repository: Repository, tmp_path: Path) -> None:
    clone = copied(repository, tmp_path / "clone")
    command = ("-m", "pipeline", "crossval", "--stage", "train_classifier", "--folds", "3")
    clone.python(*command)
    path = clone.path / paths.CROSSVAL / "train_classifier.json"
    once = path.read_bytes()
    found = json.loads(once)["metrics"]
    assert len(set(found["test_accuracy"]["folds"])) > 1
    assert found["test_accuracy"]["standard_deviation"] > 0
    whole, below = runs_of(clone, "crossval")
    assert len(below) == 3
    assert whole.data.metrics["test_accuracy"] == found["test_accuracy"]["mean"]
    clone.python(*command)
    assert path.read_bytes() == once
