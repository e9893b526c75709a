"""`artifacts: reference`: MLflow has pointers, DVC the files; whoever needs one fetches it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.outs import dvc_lock, paths
from tests.whole.mlflow_server import empty
from tests.whole.repositories import Repository, copied, served
from tests.whole.serving import post

pytestmark = pytest.mark.slow

STAGE = "train_classifier"


@pytest.fixture(scope="module")
def linked(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with a DVC remote, whose runs have pointers."""
    folder = tmp_path_factory.mktemp("reference")
    clone = copied(repository, folder / "clone")
    shutil.rmtree(clone.path / "mlartifacts")
    empty(clone.client)
    clone.edit_params(lambda text: text.replace("artifacts: copy", "artifacts: reference"))
    clone.main("track")
    clone.dvc("remote", "add", "--default", "store", str(folder / "remote"))
    clone.dvc("push")
    return clone


def test_mlflow_has_no_model_and_no_figure_but_what_dvc_finds_them_by(linked: Repository) -> None:
    stored = [path for path in (linked.path / "mlartifacts").rglob("*") if path.is_file()]
    assert not [path for path in stored if path.suffix in {".keras", ".png", ".webp"}]
    md5s = {
        YAML(typ="safe").load(path)["outs"][0]["md5"] for path in stored if path.suffix == ".dvc"
    }
    files = [paths.FIGURES, *(paths.model(stage) for stage in ("train_conv_ae", STAGE))]
    assert set(dvc_lock.hashes(map(str, files), linked.path).values()) < md5s


def test_a_champion_is_served_from_the_remote_and_one_that_dvc_has_lost_is_named(
    linked: Repository,
) -> None:
    promoted = linked.main("promote", "--stage", STAGE)
    assert "mnist-classifier: version 1 becomes champion" in promoted
    shutil.rmtree(linked.path / ".dvc/cache")
    images = np.load(linked.path / "data/prepared/test_images.npy")
    labels = np.load(linked.path / "data/prepared/test_labels.npy")
    with served(linked, STAGE) as url:
        status, answer = post(url, {"inputs": images.tolist()})
    assert status == 200
    stated = YAML(typ="safe").load(linked.path / paths.metrics(STAGE))["test_accuracy"]
    right = np.mean(np.array(answer["predictions"]["class"]) == labels)
    assert right == pytest.approx(stated, abs=1e-9)

    (md5,) = dvc_lock.hashes([str(paths.model(STAGE))], linked.path).values()
    for root in (linked.path / ".dvc/cache", linked.path.parent / "remote"):
        shutil.rmtree(root)
    Path(linked.path / ".dvc/tmp/models").rename(linked.path / "moved away")
    printed = linked.main("serve", "--stage", STAGE, code=1)
    assert printed.splitlines()[-1].startswith(
        f"error: model.keras: found md5 {md5} neither in DVC's cache nor in its remote"
    )
    promote = ("promote", "--stage", "train_conv_ae")
    refused = linked.main(*promote, code=1)
    assert "error: mnist-conv-ae: data/models/conv_ae.keras: found md5" in refused
    # What a run has is what it was logged with, whatever params.yaml says by now.
    linked.edit_params(lambda text: text.replace("artifacts: reference", "artifacts: copy"))
    assert linked.main(*promote, code=1) == refused
    linked.dvc("remote", "remove", "store")
    without = linked.main(*promote, code=1)
    assert "is not in DVC's cache" in without
    assert len(without.splitlines()) == 1
