"""`python -m pipeline params` lists every setting with what it may be."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import __main__
from pipeline.params import PARAMS

ROOT = Path(__file__).parents[2]
DOCUMENT = YAML(typ="safe").load(ROOT / PARAMS)


def leaves(section: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the committed settings, to work in."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *key: str) -> dict[str, str]:
    """What is printed behind each setting."""
    __main__.main(["params", *key])
    _, _, *lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def test_every_setting_is_listed_with_value_type_and_range(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = listed(capsys)
    assert list(found) == list(leaves(DOCUMENT))
    assert "anything" not in " ".join(found.values())
    for key, line in {
        "seed": "42 whole number >= 0, < 2147483648 any whole number below 2^31",
        "runtime.cpu_isa": "avx2 avx2 | native avx2: cap the instruction set",
        "train_dense_ae.batch_size": "32 whole number >= 1 images",
        "train_dense_ae.optimizer.name": "adadelta sgd | adadelta | adam",
        "train_classifier.optimizer.sgd.momentum": "0.0 number >= 0, < 1",
        "visualize.neuron_weights": "[1.0, 5.0, 0.2] list of 1 to 4: number",
        "promotion.train_classifier.metric": "test_accuracy test_loss | test_accuracy",
    }.items():
        assert found[key].startswith(line)


def test_a_section_or_a_setting_can_be_had_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(listed(capsys, "probe.optimizer.sgd")) == [
        f"probe.optimizer.sgd.{name}" for name in ("learning_rate", "momentum", "nesterov")
    ]
    assert list(listed(capsys, "seed")) == ["seed"]


def test_what_a_program_of_another_kind_takes_is_listed_as_it_is(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = YAML(typ="safe").load(project / "dvc.yaml")
    pipeline["stages"]["export"] = {"cmd": "true"}
    YAML().dump(pipeline, project / "dvc.yaml")
    with (project / PARAMS).open("a") as file:
        file.write("\nexport: {format: onnx, deep: {er: [1, x]}}\n")
    assert listed(capsys, "export") == {
        "export.format": "onnx anything",
        "export.deep.er": '[1, "x"] anything',
    }


def test_a_key_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["params", "probe.optimiser"])
    assert capsys.readouterr() == (
        "",
        "error: params.yaml: probe.optimiser: not found; did you mean 'probe.optimizer.name'?\n",
    )
