"""Promotion against a real store: which model becomes champion, and what is said and written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from ruamel.yaml import YAML

from pipeline import __main__
from pipeline.outs import dvc_lock, paths
from tests.whole.repositories import Repository, copied, with_epochs

pytestmark = pytest.mark.slow

CLASSIFIER, MODEL = "mnist-classifier", "data/models/classifier.keras"
MODELS = {
    "train_classifier": CLASSIFIER,
    "train_dense_ae": "mnist-dense-ae",
    "train_conv_ae": "mnist-conv-ae",
}
Pipeline = Callable[..., str]


@pytest.fixture(scope="module")
def trained_twice(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The classifier of 4 epochs in dvc.lock.4, that of 1 epoch in dvc.lock; both tracked."""
    clone = copied(repository, tmp_path_factory.mktemp("promote") / "clone")
    shutil.copy(clone.path / "dvc.lock", clone.path / "dvc.lock.4")
    clone.edit_params(lambda text: with_epochs(text, {"train_classifier": 1}))
    clone.dvc("repro", "train_classifier", PIPELINE_TRACKING="off")
    clone.main("track")
    shutil.copy(clone.path / "dvc.lock", clone.path / "dvc.lock.1")
    return clone


@pytest.fixture
def clone(trained_twice: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A copy of it to promote in, with the classifier of 4 epochs."""
    clone = copied(trained_twice, tmp_path / "clone")
    monkeypatch.chdir(clone.path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use(clone, epochs=4)
    return clone


def use(clone: Repository, *, epochs: int) -> None:
    """Let dvc.lock name the classifier that was trained so long."""
    shutil.copy(clone.path / f"dvc.lock.{epochs}", clone.path / "dvc.lock")


def set_gate(clone: Repository, old: str, new: str) -> None:
    clone.edit_params(lambda text: text.replace(f"{{{old}}}", f"{{{new}}}", 1))


@pytest.fixture
def promote(capsys: pytest.CaptureFixture[str]) -> Pipeline:
    """`python -m pipeline promote`: what it prints, errors included."""

    def run(*arguments: str, code: int = 0) -> str:
        if code:
            with pytest.raises(SystemExit, match=f"^{code}$"):
                __main__.main(["promote", *arguments])
        else:
            __main__.main(["promote", *arguments])
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run


def champion(client: MlflowClient, name: str = CLASSIFIER) -> ModelVersion:
    return client.get_model_version_by_alias(name, "champion")


def number(clone: Repository) -> int:
    """The champion classifier's."""
    return int(champion(clone.client).version)


def metric(clone: Repository, epochs: int) -> float:
    """The accuracy of the classifier that was trained so long, as its run has it."""
    (run,) = (
        run
        for run in clone.runs()
        if run.data.tags["dvc.stage"] == "train_classifier"
        and run.data.params["epochs"] == str(epochs)
    )
    return run.data.metrics["test_accuracy"]


def test_the_first_models_become_champions_and_a_second_call_changes_nothing(
    clone: Repository, promote: Pipeline
) -> None:
    first = promote().splitlines()
    assert [line.split(":")[0] for line in first] == list(MODELS.values())
    assert all("version 1 becomes champion" in line for line in first)
    before = [champion(clone.client, name) for name in MODELS.values()]
    assert promote() == "".join(
        f"{name}: version 1 is champion already\n" for name in MODELS.values()
    )
    after = [champion(clone.client, name) for name in MODELS.values()]
    assert [vars(version) for version in after] == [vars(version) for version in before]
    assert len(clone.client.search_model_versions()) == len(MODELS)


@pytest.mark.parametrize("stage", MODELS)
def test_a_version_names_what_it_was_made_of_and_how_good_it_is(
    clone: Repository, promote: Pipeline, stage: str
) -> None:
    promote("--stage", stage)
    state = dvc_lock.locked(stage)
    commit = clone.run("git", "rev-parse", "HEAD~1").strip()  # HEAD added the results
    (run,) = (run for run in clone.runs() if run.data.tags["dvc.fingerprint"] == state.fingerprint)
    version = champion(clone.client, MODELS[stage])
    assert version.run_id == run.info.run_id
    assert run.outputs
    logged = clone.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [
        {"name": MODELS[stage], "version": "1"}
    ]
    assert version.tags["dvc.fingerprint"] == state.fingerprint
    assert version.tags["git.commit"] == commit
    assert version.tags["dvc.model"] == state.outs[str(paths.model(stage))]
    assert version.tags["dvc.test_data"] == run.data.tags["dvc.test_data"]
    name = "test_accuracy" if stage == "train_classifier" else "test_bce"
    value = run.data.metrics[name]
    assert version.tags[f"metric.{name}"] == str(value)
    assert f"{name} {value:.4f}" in str(version.description)
    assert f"{name} {value:.4f}" in run.data.tags["mlflow.note.content"]


def test_a_worse_one_is_registered_and_refused_with_the_numbers_each_time(
    clone: Repository, promote: Pipeline
) -> None:
    promote()
    use(clone, epochs=1)
    worse, better = metric(clone, 1), metric(clone, 4)
    assert worse < better
    told = (
        f"error: {CLASSIFIER}: version 2 does not become champion: test_accuracy {worse:g} against "
        f"{better:g} of version 1 is worse by {better - worse:g}, expected better by at least 0.001"
    )
    for _ in range(2):
        assert promote(code=1).splitlines() == [
            "mnist-dense-ae: version 1 is champion already",
            "mnist-conv-ae: version 1 is champion already",
            told,
        ]
    assert number(clone) == 1
    assert len(clone.client.search_model_versions(f"name='{CLASSIFIER}'")) == 2


def test_a_better_one_takes_over(clone: Repository, promote: Pipeline) -> None:
    use(clone, epochs=1)
    promote("--stage", "train_classifier")
    use(clone, epochs=4)
    assert promote("--stage", "train_classifier") == (
        f"{CLASSIFIER}: version 2 becomes champion: test_accuracy {metric(clone, 4):g} against "
        f"{metric(clone, 1):g} of version 1, better by {metric(clone, 4) - metric(clone, 1):g}\n"
    )
    assert number(clone) == 2


def test_the_gate_is_the_one_in_params_yaml(clone: Repository, promote: Pipeline) -> None:
    use(clone, epochs=1)
    promote("--stage", "train_classifier")
    use(clone, epochs=4)
    before = "metric: test_accuracy, margin: 0.001"
    set_gate(clone, before, "metric: test_accuracy, margin: 0.99")
    assert "expected better by at least 0.99" in promote("--stage", "train_classifier", code=1)
    set_gate(clone, "metric: test_accuracy, margin: 0.99", "metric: test_loss, margin: 0.0")
    assert "becomes champion: test_loss" in promote("--stage", "train_classifier")


def test_what_was_tested_on_other_images_is_refused(clone: Repository, promote: Pipeline) -> None:
    use(clone, epochs=1)
    promote("--stage", "train_classifier")
    use(clone, epochs=4)
    clone.client.set_model_version_tag(CLASSIFIER, "1", "dvc.test_data", "another")
    assert "those of version 1 another, expected the same" in promote(
        "--stage", "train_classifier", code=1
    )
    assert number(clone) == 1


def test_a_rolled_back_version_comes_back_by_hand_alone(
    clone: Repository, promote: Pipeline
) -> None:
    one = ("--stage", "train_classifier")
    use(clone, epochs=1)
    promote(*one)
    use(clone, epochs=4)
    promote(*one)
    assert promote(*one, "--to", "1") == (
        f"{CLASSIFIER}: version 1 becomes champion; rolled back: 2\n"
    )
    assert number(clone) == 1
    assert promote(*one, code=1) == (
        f"error: {CLASSIFIER}: version 2 was rolled back to 1 and does not become champion; "
        "`python -m pipeline promote --stage train_classifier --to 2` makes it so\n"
    )
    assert promote(*one, "--to", "2") == f"{CLASSIFIER}: version 2 becomes champion\n"
    assert promote(*one) == f"{CLASSIFIER}: version 2 is champion already\n"
    assert promote(*one, "--to", "2") == f"{CLASSIFIER}: version 2 is champion already\n"


@pytest.mark.usefixtures("clone")
def test_a_version_that_is_not_there_is_told_with_those_that_are(promote: Pipeline) -> None:
    one = ("--stage", "train_classifier", "--to", "7")
    told = f"error: {CLASSIFIER}: found no version 7, expected one of those there: "
    assert promote(*one, code=1) == f"{told}none yet\n"
    promote()
    assert promote(*one, code=1) == f"{told}1\n"


def test_a_dry_run_tells_what_would_be_and_writes_nothing(
    clone: Repository, promote: Pipeline
) -> None:
    def stored() -> dict[str, bytes]:
        files = [clone.path / "mlflow.db", *(clone.path / "mlartifacts").rglob("*")]
        return {str(file): file.read_bytes() for file in files if file.is_file()}

    before = stored()
    for line in promote("--dry-run").splitlines():
        assert "version 1 becomes champion" in line
        assert line.endswith("(dry run: nothing is written)")
    assert stored() == before
    promote()
    use(clone, epochs=1)
    before = stored()
    assert "version 2 does not become champion" in promote("--dry-run", code=1)
    promote("--dry-run", "--stage", "train_classifier", "--to", "1")
    assert stored() == before


def test_a_version_that_somebody_else_registered_stays_as_it_is(
    clone: Repository, promote: Pipeline
) -> None:
    clone.client.create_registered_model(CLASSIFIER)
    clone.client.create_model_version(CLASSIFIER, source=str(clone.path))
    assert "version 2 becomes champion" in promote("--stage", "train_classifier")
    clone.client.set_registered_model_alias(CLASSIFIER, "champion", "1")
    assert promote("--stage", "train_classifier", code=1) == (
        f"error: {CLASSIFIER}: version 1: found no test_accuracy, expected one\n"
    )


def test_a_run_of_an_earlier_revision_that_lacks_a_tag_is_named(
    clone: Repository, promote: Pipeline
) -> None:
    fingerprint = dvc_lock.locked("train_classifier").fingerprint
    (run,) = (run for run in clone.runs() if run.data.tags["dvc.fingerprint"] == fingerprint)
    clone.client.delete_tag(run.info.run_id, "dvc.test_data")
    assert promote("--stage", "train_classifier", code=1) == (
        f"error: {CLASSIFIER}: run {run.info.run_id}: found no tag dvc.test_data, expected one: an "
        "earlier revision made it; `make track` makes another when it is deleted\n"
    )
    assert not clone.client.search_model_versions()


def test_a_champion_whose_files_are_lost_is_named(clone: Repository, promote: Pipeline) -> None:
    promote("--stage", "train_classifier")
    model_id = (champion(clone.client).source or "").removeprefix("models:/")
    location = clone.client.get_logged_model(model_id).artifact_location
    kept = Path(location.removeprefix("file://"))
    kept.rename(kept.with_name("lost"))
    try:
        command = ("predict", "data/raw/mnist_test.pkl", "--output", "answers.csv")
        told = clone.main(*command, code=1)
    finally:
        kept.with_name("lost").rename(kept)
    assert told == (
        f"error: {CLASSIFIER}: found no files of version 1 among MLflow's artifacts, expected its "
        "model; `python -m pipeline promote` with `--to` makes another version champion\n"
    )


def test_outside_git_a_version_names_no_commit(clone: Repository, promote: Pipeline) -> None:
    for run in clone.runs():
        clone.client.set_tag(run.info.run_id, "git.commit", "")
    promote("--stage", "train_classifier")
    description = champion(clone.client).description or ""
    assert description.endswith("Made by `python3 stages train_classifier`.")


def test_an_experiment_in_the_trash_is_named_with_what_restores_it(clone: Repository) -> None:
    experiment = clone.client.get_experiment_by_name("autoencoders")
    assert experiment
    clone.client.delete_experiment(experiment.experiment_id)
    for command in ("promote", "track", "compare"):
        told = clone.main(command, code=1)
        assert told.endswith(
            "found experiment 'autoencoders' in MLflow's trash, expected it outside; `mlflow "
            f"experiments restore --experiment-id {experiment.experiment_id}` restores it\n"
        )
        assert len(told.splitlines()) == 1


def test_without_its_run_nothing_is_promoted_and_track_is_named(
    clone: Repository, promote: Pipeline
) -> None:
    for run in clone.runs():
        clone.client.delete_run(run.info.run_id)
    assert promote(code=1).splitlines() == [
        f"error: {name}: found no run of what dvc.lock names, expected one; "
        "`make track` makes those of dvc.lock"
        for name in MODELS.values()
    ]


def test_a_run_of_other_bytes_than_those_of_dvc_lock_is_not_promoted(
    clone: Repository, promote: Pipeline
) -> None:
    """Another kind of machine gives the same fingerprint, and other bytes."""
    lock = clone.path / "dvc.lock"
    md5 = dvc_lock.locked("train_classifier").outs[MODEL]
    lock.write_text(lock.read_text().replace(md5, "f" * 32))
    printed = promote(code=1)
    assert f"error: {CLASSIFIER}: run " in printed
    assert f"found {MODEL} with md5 {md5}, expected {'f' * 32} as dvc.lock names it" in printed
    assert printed.count("becomes champion") == 2
    assert not clone.client.search_model_versions(f"name='{CLASSIFIER}'")


def test_a_stage_without_a_result_does_not_keep_the_others_from_promotion(
    clone: Repository, promote: Pipeline
) -> None:
    yaml, lock = YAML(), clone.path / "dvc.lock"
    document = yaml.load(lock)
    del document["stages"]["train_classifier"]
    yaml.dump(document, lock)
    printed = promote(code=1)
    assert printed.count("becomes champion") == 2
    assert (
        f"error: {CLASSIFIER}: dvc.lock: found no stage 'train_classifier', expected one; "
        "`make repro` runs it\n"
    ) in printed


def test_without_a_store_none_is_made(clone: Repository, promote: Pipeline) -> None:
    (clone.path / "mlflow.db").unlink()
    assert promote("--dry-run", code=1) == (
        f"error: {clone.path / 'mlflow.db'}: found no runs, expected some; "
        "`make track` makes those of dvc.lock\n"
    )
    assert not (clone.path / "mlflow.db").exists()


def test_to_needs_a_stage(promote: Pipeline) -> None:
    assert "--to needs --stage" in promote("--to", "1", code=1)
