"""docs/extending.md, followed to the letter in a clone: a fourth training that everything knows."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.whole.repositories import ROOT, Repository, copied, with_epochs

pytestmark = pytest.mark.slow

STAGE = "train_denoising_ae"
SWEEP = f"""\
stage: {STAGE}
metric: test_bce
trials: 1
searcher: grid
seed: 42
early_stopping: false
params: {{{STAGE}.epochs: 1}}
search:
  {STAGE}.code_units: {{choices: [4]}}
"""


def blocks() -> dict[str, str]:
    """The files that the section on models shows, by the path in the first line."""
    text = (ROOT / "docs/extending.md").read_text()
    section = text.split("\n## A model\n")[1].split("\n## ")[0]
    found = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", section, re.DOTALL)
    return dict(found)


def commands() -> list[str]:
    """What the section has a reader type after the files are there, `make repro` first."""
    text = (ROOT / "docs/extending.md").read_text()
    section = text.split("\n## A model\n")[1].split("\n## ")[0]
    return [
        line
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
    ]


@pytest.fixture(scope="module")
def extended(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A small pipeline with the model of the page, after `make repro`'s own command."""
    repository = copied(repository, tmp_path_factory.mktemp("extended") / "repository")
    shown = blocks()
    assert set(shown) == {f"stages/{STAGE}.py", "params.yaml", "dvc.yaml"}
    (repository.path / f"stages/{STAGE}.py").write_text(shown[f"stages/{STAGE}.py"])
    params, dvc = repository.path / "params.yaml", repository.path / "dvc.yaml"
    params.write_text(with_epochs(f"{params.read_text()}\n{shown['params.yaml']}", {STAGE: 3}))
    dvc.write_text(
        dvc.read_text().replace("  visualize:\n", f"{shown['dvc.yaml']}\n  visualize:\n", 1)
    )
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "a denoising autoencoder")
    assert commands()[0] == "make repro"
    printed = repository.python("-m", "pipeline", "repro")
    assert re.search(r"^denoising_ae +0\.\d{4} +0\.\d{4} bce +157,684 +100 ", printed, re.MULTILINE)
    return repository


def test_its_files_are_there_and_nothing_is_out_of_date(extended: Repository) -> None:
    for path in ("models/denoising_ae.keras", "models/denoising_ae.txt"):
        assert (extended.path / "data" / path).exists()
    metrics = json.loads((extended.path / f"data/metrics/{STAGE}.json").read_text())
    assert metrics["epochs"] == 3
    assert extended.changed() == {}


def test_it_is_in_the_figures(extended: Repository) -> None:
    figures = extended.path / "data/figures"
    assert (figures / "denoising_ae/codes.png").exists()
    for name in ("training_curves", "comparison", "code_map"):
        with (
            Image.open(figures / f"{name}.png") as new,
            Image.open(ROOT / f"data/figures/{name}.png") as old,
        ):
            assert new.size[0] * new.size[1] > old.size[0] * old.size[1]


def test_it_has_a_run_with_its_model_params_and_metrics(extended: Repository) -> None:
    (run,) = [run for run in extended.runs() if run.data.tags["dvc.stage"] == STAGE]
    assert run.info.status == "FINISHED"
    assert run.data.params["noise"] == "0.3"
    assert {"test_bce", "probe_accuracy", "loss", "test_loss"} <= set(run.data.metrics)
    assert run.outputs
    assert run.outputs.model_outputs


def test_the_commands_of_the_page_know_it(extended: Repository) -> None:
    compare, promote, experiment = commands()[1:]
    assert STAGE in extended.run(*compare.split())
    promoted = extended.run(*promote.split())
    assert "mnist-denoising-ae: version 1 becomes champion: test_bce" in promoted
    extended.run(*experiment.split(), PIPELINE_TRACKING="off")
    assert "0.5" in extended.dvc("exp", "show", "--csv")


def test_its_gate_in_params_yaml_is_checked(extended: Repository) -> None:
    params = extended.path / "params.yaml"
    before = params.read_text()
    gate = f"  {STAGE}: {{metric: test_accuracy, margin: 0}}\n"
    try:
        params.write_text(before.replace("promotion:\n", f"promotion:\n{gate}", 1))
        printed = extended.python("-m", "pipeline", "promote", "--dry-run", code=1)
    finally:
        params.write_text(before)
    assert f"promotion.{STAGE}.metric: found 'test_accuracy', expected 'test_bce'" in printed


def test_it_can_be_swept(extended: Repository) -> None:
    (extended.path / "denoising.yaml").write_text(SWEEP)
    printed = extended.python("-m", "pipeline", "sweep", "denoising.yaml")
    assert "trial 1/1" in printed
    assert f"dvc exp run -S {STAGE}.epochs=1 -S {STAGE}.code_units=" in printed


def test_it_is_rebuilt_with_the_same_bytes(extended: Repository, tmp_path: Path) -> None:
    clone = copied(extended, tmp_path / "clone")
    clone.run("git", "add", ".")
    clone.run("git", "commit", "--quiet", "--message", "results")
    printed = clone.python("-m", "pipeline", "verify", "--stage", STAGE)
    assert f"identical: {clone.outs(STAGE)} outs, this rebuild and dvc.lock" in printed
