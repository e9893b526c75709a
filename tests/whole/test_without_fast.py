"""The faster forms may be deleted: everything is made, only slower."""

import json
import shutil

import pytest

from tests.whole.repositories import TRAININGS, Repository, copied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The small pipeline trained anew, after their folder was deleted."""
    plain = copied(repository, tmp_path_factory.mktemp("plain") / "repository")
    shutil.rmtree(plain.path / "pipeline/training/fast")
    printed = plain.dvc("repro", PIPELINE_TRACKING="off")
    assert all(f"> python3 stages {stage}" in printed for stage in TRAININGS)
    return plain


@pytest.mark.parametrize("stage", TRAININGS)
def test_each_training_ends_with_the_same_results_within_rounding(
    repository: Repository, plain: Repository, stage: str
) -> None:
    file = f"data/metrics/{stage}.json"
    fast = json.loads((repository.path / file).read_text())
    assert json.loads((plain.path / file).read_text()) == pytest.approx(fast, abs=2e-3)
    assert repository.changed() == plain.changed() == {}


def test_the_models_have_the_same_layers(repository: Repository, plain: Repository) -> None:
    for file in (repository.path / "data/models").glob("*.txt"):
        assert file.read_text() == (plain.path / "data/models" / file.name).read_text()
