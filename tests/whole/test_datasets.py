"""Other images need other params alone: what `inspect` prints, pasted, and the whole pipeline."""

import json
import re
from pathlib import Path

import pytest

from tests.data.test_forms import FORMS, IMAGES, WORDS, png
from tests.whole.repositories import Repository, make_repository

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

PREDICT = """
import mlflow, numpy
model = mlflow.pyfunc.load_model("models:/mnist-classifier@champion")
print(*model.predict(numpy.load("data/prepared/test_images.npy")[:20])["class"])
"""


def with_images_of(form: str, path: Path) -> Repository:
    """A small pipeline after `make repro`'s command on files of that form, by params alone."""
    repository = make_repository(path)
    mine = path / "data/mine"
    mine.mkdir()
    FORMS[form](mine)
    (file,) = mine.iterdir()
    printed = repository.python("-m", "pipeline", "inspect", f"data/mine/{file.name}")
    assert (path / "contact_sheet.png").exists()
    lines = printed.split("for params.yaml:\n\n")[1]
    section = re.compile(r"^prepare:\n(?:  .*\n)+", re.MULTILINE)
    repository.edit_params(lambda text: section.sub(lines, text))
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "other images")
    repository.python("-m", "pipeline", "repro")
    return repository


@pytest.mark.parametrize(
    "form",
    ["the classic `mnist.pkl.gz`", "CSV", "folder of pictures", "`.npz` as MedMNIST names it"],
)
def test_the_pipeline_runs_by_params_alone(tmp_path: Path, form: str) -> None:
    repository = with_images_of(form, tmp_path)
    assert json.loads(repository.dvc("status", "--json")) == {}
    found = json.loads((tmp_path / "data/metrics/prepare.json").read_text())
    total = found["train_images"] + found["test_images"]
    assert total == (80 if form == "CSV" else 100)
    named = form == "folder of pictures"
    assert found["classes"] == (sorted(WORDS) if named else list(range(10)))
    for name in ("confusion_matrix", "confident_mistakes", "comparison", "code_map"):
        assert [*(tmp_path / "data/figures").rglob(f"{name}.png")]
    if named:
        repository.python("-m", "pipeline", "promote")
        answered = repository.python("-c", PREDICT, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
        assert {*answered.split()[-20:]} <= {*WORDS}
        # A picture more is another folder.
        (tmp_path / "data/mine/pictures/train/five/more.png").write_bytes(png(IMAGES[0]))
        assert "prepare" in json.loads(repository.dvc("status", "--json"))
        assert "81 training and 20 test images" in repository.dvc("repro", "prepare")
