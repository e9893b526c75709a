"""The pipeline as a user runs it, on a small real subset."""

import csv
import getpass
import gzip
import json
import re
import shutil
import struct
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from pipeline.data import datasets
from pipeline.data.files import readers
from pipeline.outs import dvc_lock, environment, machine
from pipeline.params import load_params
from pipeline.sweeps import params_text
from pipeline.tracking import provenance
from tests.whole.mlflow_server import empty
from tests.whole.repositories import ROOT, STAGES, Repository, copied, make_repository

pytestmark = pytest.mark.slow

CLASSIFIER_METRICS = {
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "epochs", "epochs_to_target"),
    "parameters",
}
AUTOENCODER_METRICS = {
    *("train_loss", "test_bce", "test_mse", "test_psnr", "test_ssim", "probe_accuracy"),
    *("parameters", "code_size", "compression", "epochs"),
}
FIGURES = 14
OTHER_DENSE = {"train_dense_ae.code_units": 12, "train_dense_ae.optimizer.name": "adam"}
EPOCHS = {"train_classifier": 4, "train_dense_ae": 3, "train_conv_ae": 2}


def metrics(repository: Repository, stage: str) -> dict[str, float | None]:
    loaded: dict[str, float | None] = json.loads(
        (repository.path / f"data/metrics/{stage}.json").read_text()
    )
    return loaded


def test_everything_is_up_to_date_and_clean_after_a_run(repository: Repository) -> None:
    assert "up to date" in repository.dvc("status")
    assert repository.run("git", "status", "--porcelain") == ""
    assert "Everything is up to date." in repository.python("-m", "pipeline", "repro")


def test_metrics_hold_the_keys_of_the_contract(repository: Repository) -> None:
    assert set(metrics(repository, "train_classifier")) == CLASSIFIER_METRICS
    for stage in ("train_dense_ae", "train_conv_ae"):
        assert set(metrics(repository, stage)) == AUTOENCODER_METRICS
    assert metrics(repository, "train_conv_ae")["parameters"] == 2625
    assert metrics(repository, "prepare")["train_images"] == 600


@pytest.mark.parametrize(("stage", "epochs"), EPOCHS.items())
def test_history_has_a_row_an_epoch_and_the_loss_falls(
    repository: Repository, stage: str, epochs: int
) -> None:
    with (repository.path / f"data/history/{stage}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, epochs + 1))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[-1]["test_loss"]) < float(rows[0]["test_loss"])


def test_every_figure_is_a_picture_with_something_in_it(repository: Repository) -> None:
    figures = sorted((repository.path / "data/figures").rglob("*.png"))
    assert len(figures) == FIGURES
    for figure in figures:
        with Image.open(figure) as image:
            assert min(image.size) >= 350
            assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.parametrize(("stage", "epochs"), EPOCHS.items())
def test_a_training_has_one_complete_run(repository: Repository, stage: str, epochs: int) -> None:
    (run,) = [
        run
        for run in repository.runs()
        if run.data.tags["dvc.stage"] == stage and "dvc.experiment" not in run.data.tags
    ]
    assert run.info.status == "FINISHED"
    assert run.data.tags["dvc.stage"] == stage
    assert run.data.tags["git.dirty"] == "false"
    shown = [key for key in run.data.tags if not key.startswith("mlflow.")]
    assert len(shown) == 6
    assert run.data.params["epochs"] == str(epochs)
    for key, value in metrics(repository, stage).items():
        if value is not None:
            assert run.data.metrics[key] == pytest.approx(value)
    steps = [point.step for point in repository.client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(steps) == list(range(1, epochs + 1))
    assert run.inputs
    training, test = run.inputs.dataset_inputs
    (md5,) = dvc_lock.hashes(["data/prepared/train_images.npy"], repository.path).values()
    assert training.dataset.digest == md5
    assert (training.dataset.name, test.dataset.name) == ("mnist.pkl", "mnist_test.pkl")
    names = {file.path for file in repository.client.list_artifacts(run.info.run_id)}
    model = stage.removeprefix("train_")
    figures = {path.name for path in (repository.path / "data/figures" / model).iterdir()}
    written = {f"{model}.txt", f"{stage}.csv", f"{stage}.json", "dvc.lock.yaml"}
    assert names == written | figures | {"images"}


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_run_has_its_stages_entry_of_dvc_lock(
    repository: Repository, stage: str, tmp_path: Path
) -> None:
    (run,) = [run for run in repository.runs() if run.data.tags["dvc.stage"] == stage]
    file = repository.client.download_artifacts(run.info.run_id, "dvc.lock.yaml", str(tmp_path))
    state = dvc_lock.locked(stage, repository.path)
    assert Path(file).read_text() == provenance.lock_entry(state)
    Path(file).rename(tmp_path / "dvc.lock")
    assert dvc_lock.locked(stage, tmp_path) == state


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("train_classifier", {"training_curve", "confusion_matrix", "confident_mistakes"}),
        ("train_dense_ae", {"training_curve", "codes"}),
        ("train_conv_ae", {"training_curve", "codes", "feature_maps"}),
    ],
)
def test_a_trainings_run_has_its_own_figures_as_the_stage_has_drawn_them(
    repository: Repository, stage: str, expected: set[str], tmp_path: Path
) -> None:
    (run,) = [run for run in repository.runs() if run.data.tags["dvc.stage"] == stage]
    drawn = repository.path / "data/figures" / stage.removeprefix("train_")
    assert {path.stem for path in drawn.iterdir()} == expected
    for path in drawn.iterdir():
        logged = repository.client.download_artifacts(run.info.run_id, path.name, str(tmp_path))
        assert Path(logged).read_bytes() == path.read_bytes()
    charted = repository.client.list_artifacts(run.info.run_id, "images")
    keys = [Path(file.path).name.partition("+")[0] for file in charted]
    assert set(keys) == expected
    assert len(keys) == 2 * len(expected)  # each in full, and small


def test_a_run_that_lost_its_figures_gets_them_from_track(
    repository: Repository, tmp_path: Path
) -> None:
    clone = copied(repository, tmp_path / "clone")
    (run,) = [run for run in clone.runs() if run.data.tags["dvc.stage"] == "train_dense_ae"]
    clone.client.delete_tag(run.info.run_id, "dvc.figures")
    clone.main("track")
    digest = clone.client.get_run(run.info.run_id).data.tags["dvc.figures"]
    assert [digest] == list(dvc_lock.hashes(["data/figures/dense_ae"], clone.path).values())


@pytest.fixture(scope="module")
def retrained(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The dense autoencoder alone trained with another code and optimizer, and tracked."""
    clone = copied(repository, tmp_path_factory.mktemp("retrained") / "clone")
    clone.edit_params(partial(params_text.changed, point=OTHER_DENSE))
    clone.dvc("repro", "train_dense_ae", PIPELINE_TRACKING="off")
    clone.main("track")
    return clone


def test_another_optimizer_is_one_switch_away(retrained: Repository) -> None:
    (run,) = [run for run in retrained.runs() if run.data.params.get("code_units") == "12"]
    used = {key for key in run.data.params if key.startswith("optimizer.")}
    settings = ("learning_rate", "beta_1", "beta_2", "epsilon")
    assert used == {"optimizer.name", *(f"optimizer.adam.{name}" for name in settings)}
    assert run.data.params["optimizer.name"] == "adam"
    assert run.data.params["probe.optimizer.name"] == "adam"


def test_figures_of_an_earlier_training_are_not_put_on_the_run_of_a_later_one(
    retrained: Repository, tmp_path: Path
) -> None:
    (run,) = [run for run in retrained.runs() if run.data.params.get("code_units") == "12"]
    assert run.info.run_name == "code_units=12 name=adam dense_ae"
    kept = {file.path for file in retrained.client.list_artifacts(run.info.run_id)}
    assert "train_dense_ae.csv" in kept
    assert "codes.png" not in kept
    retrained.dvc("repro")
    logged = retrained.client.download_artifacts(run.info.run_id, "codes.png", str(tmp_path))
    drawn = retrained.path / "data/figures/dense_ae/codes.png"
    assert Path(logged).read_bytes() == drawn.read_bytes()


def test_a_run_is_named_after_its_model_or_stage_and_has_a_user_and_a_source(
    repository: Repository,
) -> None:
    for run in repository.runs():
        stage = run.data.tags["dvc.stage"]
        assert run.info.run_name == stage.removeprefix("train_")
        assert run.data.tags["mlflow.user"] == run.info.user_id == getpass.getuser()
        assert run.data.tags["mlflow.source.name"] == f"python3 stages {stage}"


def test_the_answers_of_a_classifier_are_a_table_of_which_dvc_draws_a_confusion_matrix(
    repository: Repository,
) -> None:
    with (repository.path / "data/predictions/classifier.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = np.load(repository.path / "data/prepared/test_labels.npy")
    assert [int(row["actual"]) for row in rows] == labels.tolist()
    right = np.mean([row["actual"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics(repository, "train_classifier")["test_accuracy"])
    shown = json.loads(repository.dvc("plots", "show", "--json"))
    (plot,) = shown["data"]["Classifier's answers to test images"]
    counted = plot["content"]["data"]["values"]
    assert [row["predicted"] for row in counted] == [row["predicted"] for row in rows]


@pytest.mark.usefixtures("tensorflow")
def test_the_logged_classifier_takes_raw_images_and_is_as_good_as_its_metrics_say(
    repository: Repository,
) -> None:
    (run,) = [run for run in repository.runs() if run.data.tags["dvc.stage"] == "train_classifier"]
    assert run.outputs
    with repository.entered(MLFLOW_TRACKING_URI=repository.client.tracking_uri):
        model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    images = np.load(repository.path / "data/prepared/test_images.npy")
    labels = np.load(repository.path / "data/prepared/test_labels.npy")
    answers = model.predict(images)
    accuracy = metrics(repository, "train_classifier")["test_accuracy"]
    assert np.mean(answers["class"] == labels) == pytest.approx(accuracy)
    assert answers["probabilities"].shape == (200, 10)
    with pytest.raises(mlflow.MlflowException):
        model.predict(images.astype(np.float64))


def test_the_figures_are_in_a_run_of_visualize(repository: Repository) -> None:
    run = next(run for run in repository.runs() if run.data.tags["dvc.stage"] == "visualize")
    logged = repository.client.list_artifacts(run.info.run_id, "figures")
    assert {Path(file.path).name for file in logged} == {
        file.name for file in (repository.path / "data/figures").iterdir()
    }


def test_track_makes_every_run_again_and_none_twice(copy: Repository) -> None:
    (copy.path / "mlflow.db").unlink()
    shutil.rmtree(copy.path / "mlartifacts")
    assert copy.python("-m", "pipeline", "track").count("run made") == 4
    assert copy.main("track").count("tracked") == 4
    assert sorted(run.data.tags["dvc.stage"] for run in copy.runs()) == [
        "train_classifier",
        "train_conv_ae",
        "train_dense_ae",
        "visualize",
    ]
    assert {run.info.status for run in copy.runs()} == {"FINISHED"}


@pytest.mark.exhaustive
def test_an_experiment_in_a_temporary_folder_logs_to_the_same_store(
    repository: Repository,
) -> None:
    repository.dvc("exp", "run", "--temp", "--name", "brief", "-S", "train_dense_ae.epochs=1")
    (run,) = [
        run
        for run in repository.runs()
        if run.data.tags.get("dvc.experiment") == "brief"
        and run.data.tags["dvc.stage"] == "train_dense_ae"
    ]
    assert run.info.run_name == "brief dense_ae"
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "1"
    assert "brief" in repository.dvc("exp", "show")


def test_dvc_shows_metrics_plots_and_what_a_changed_param_is(
    repository: Repository, tmp_path: Path
) -> None:
    assert "train_conv_ae.json" in repository.dvc("metrics", "show")
    page = repository.dvc("plots", "show", "--out", str(tmp_path)).strip()
    html = Path(page.removeprefix("file://")).read_text()
    for title in ("Classifier accuracy", "Autoencoder loss on test images"):
        assert title in html
    for figure in (repository.path / "data/figures").rglob("*.png"):
        assert html.count(str(figure.relative_to(repository.path))) == 1
    before = (repository.path / "params.yaml").read_text()
    repository.edit_params(lambda text: text.replace("code_units: 100", "code_units: 32"))
    try:
        row = next(
            line for line in repository.dvc("params", "diff").splitlines() if "units" in line
        )
        assert row.split() == ["params.yaml", "train_dense_ae.code_units", "100", "32"]
    finally:
        (repository.path / "params.yaml").write_text(before)


def test_a_broken_param_stops_repro_in_one_line_before_any_out_is_touched(
    repository: Repository,
) -> None:
    before = (repository.path / "params.yaml").read_text()
    repository.edit_params(lambda text: text.replace("code_units:", "code_unit:"))
    try:
        printed = repository.main("repro", code=1)
        assert printed.splitlines() == [
            "error: params.yaml: train_dense_ae.code_unit: unknown key; did you mean 'code_units'?"
        ]
    finally:
        (repository.path / "params.yaml").write_text(before)
    assert repository.changed() == {}


def test_a_record_of_the_environment_with_the_marks_of_a_conflict_stops_all_before_any_work(
    copy: Repository,
) -> None:
    (copy.path / "environment.json").write_text("<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n")
    told = [
        copy.main("repro", code=1),
        copy.python("-m", "stages", "prepare", code=1),
    ]
    for line in told:
        assert line.startswith("error: environment.json: found no JSON object (")
        assert len(line.splitlines()) == 1


def test_track_names_what_it_has_no_run_for_and_makes_the_others(copy: Repository) -> None:
    empty(copy.client)
    (copy.path / "data/models/classifier.txt").write_text("another")
    printed = copy.main("track", code=1)
    assert printed.count("run made") == len(STAGES) - 2  # `prepare` has none
    assert "error: data/models/classifier.txt: found md5" in printed


def test_a_run_of_results_that_the_code_no_longer_gives_is_marked_as_dirty(
    copy: Repository,
) -> None:
    empty(copy.client)
    copy.edit_params(lambda text: text.replace("code_units: 100", "code_units: 12"))
    copy.run("git", "commit", "--quiet", "--all", "--message", "another code, without results")
    copy.main("track")
    dirty = {run.data.tags["dvc.stage"]: run.data.tags["git.dirty"] for run in copy.runs()}
    assert {stage for stage, said in dirty.items() if said == "true"} == {"train_dense_ae"}


def test_a_dvc_lock_cut_short_by_a_kill_is_the_committed_one_again(
    repository: Repository, tmp_path: Path
) -> None:
    cut = copied(repository, tmp_path / "cut")
    (cut.path / "dvc.lock").write_bytes(b"")  # as DVC does before it writes
    assert "Everything is up to date." in cut.python("-m", "pipeline", "repro")
    assert cut.run("git", "status", "--porcelain") == ""


def test_a_dvc_lock_cut_short_before_it_was_ever_committed_costs_no_training(
    repository: Repository, tmp_path: Path
) -> None:
    cut = copied(repository, tmp_path / "cut")
    cut.run("git", "rm", "--quiet", "--cached", "dvc.lock")
    (cut.path / "dvc.lock").write_bytes(b"")
    printed = cut.python("-m", "pipeline", "repro")
    assert printed.count("is cached - skipping run") == len(STAGES)
    assert "Running stage" not in printed
    for stage in STAGES:
        assert dvc_lock.locked(stage, cut.path) == dvc_lock.locked(stage, repository.path)


@pytest.mark.exhaustive
def test_another_dataset_needs_other_params_alone(tmp_path: Path) -> None:
    """Half the size, four classes (3 to 6), gzipped IDX files, no test part."""
    other = make_repository(tmp_path)
    images, labels = half_size_digits(range(3, 7))
    folder = tmp_path / "digits"
    folder.mkdir()
    with gzip.open(folder / "images.gz", "wb") as file:
        file.write(b"\x00\x00\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes())
    with gzip.open(folder / "labels.gz", "wb") as file:
        file.write(b"\x00\x00\x08\x01" + struct.pack(">I", len(labels)) + labels.tobytes())
    other.edit_params(
        lambda text: (
            text.replace("mnist_test.pkl", "mnist.pkl")
            .replace("_images: data/raw/mnist.pkl", "_images: digits/images.gz")
            .replace("_labels: data/raw/mnist.pkl", "_labels: digits/labels.gz")
        )
    )
    printed = other.python("-m", "pipeline", "repro")
    assert "320 training and 80 test images of 14 x 14 pixels in 4 classes" in printed
    assert metrics(other, "train_conv_ae")["code_size"] == 7 * 7 * 16
    assert json.loads((tmp_path / "data/metrics/prepare.json").read_text())["classes"] == [
        3,
        4,
        5,
        6,
    ]
    assert len(list((tmp_path / "data/figures").rglob("*.png"))) == FIGURES


def half_size_digits(classes: Iterable[int]) -> tuple[datasets.Images, datasets.Labels]:
    """The first 100 MNIST images of each of `classes`, at 14 x 14 pixels, with their labels."""
    images = readers.read(ROOT / "data/raw/mnist.pkl", "images", "train")
    labels = readers.read(ROOT / "data/raw/mnist.pkl", "labels", "train")
    chosen = np.concatenate([np.flatnonzero(labels == name)[:100] for name in classes])
    halves = images[chosen].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return halves.astype(np.uint8), labels[chosen]


def test_on_another_kind_of_machine_repro_says_once_whose_bytes_it_makes(copy: Repository) -> None:
    record = copy.path / "environment.json"
    record.write_text(record.read_text().replace(machine.kind(), "Linux riscv64"))
    copy.edit_params(lambda text: text.replace("test_fraction: 0.2", "test_fraction: 0.3"))
    said = re.compile(
        r"^note: dvc.lock is of Linux riscv64 \(.*; the bytes made here", re.MULTILINE
    )
    assert len(said.findall(copy.python("-m", "pipeline", "repro"))) == 1
    assert machine.kind() in record.read_text()
    settings = load_params(copy.path / "params.yaml").runtime
    assert environment.foreign(environment.recorded(copy.path), settings) is None
