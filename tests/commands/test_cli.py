"""The two command lines, `python -m pipeline` and `python stages`, and how they tell errors."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import __main__, errors

ROOT = Path(__file__).parents[2]
# Calls a command, and says what was imported for it.
IMPORTED = """
import json, sys
from pipeline import __main__
try:
    __main__.main()
finally:
    commands = [name for name in __main__.COMMANDS if f"pipeline.commands.{name}" in sys.modules]
    print(json.dumps({"commands": commands, "mlflow": "mlflow" in sys.modules}), file=sys.stderr)
"""


def _python(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the committed files, without the data they name, and with an earlier out."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    out = tmp_path / "data" / "prepared" / "train_images.npy"
    out.parent.mkdir(parents=True)
    out.write_text("earlier")
    return tmp_path


@pytest.mark.parametrize("arguments", [(), ("reprod",), ("ui", "--port", "five")])
def test_a_wrong_command_line_shows_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = _python(tmp_path, "-m", "pipeline", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m pipeline")
    assert done.stdout == ""


def test_every_command_of_the_makefile_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"python -m pipeline (\w+)", (ROOT / "Makefile").read_text())
    assert {"repro", "track", "ui"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit, match=r"^0$"):
            __main__.main([command, "--help"])
        assert f"usage: python -m pipeline {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 42", "seed: many", "params.yaml: seed: found 'many'"),
        ("seed: 42", "sed: 42", "params.yaml: sed: unknown key; did you mean 'seed'?"),
        ("seed: 42", "seed: [42", "params.yaml: not valid YAML"),
        ("seed: 42", "seed: 43", "data/raw/mnist.pkl: can't be read"),  # all is well but the data
    ],
)
def test_a_mistake_ends_a_stage_with_one_line_before_it_touches_an_out(
    project: Path, old: str, new: str, told: str
) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace(old, new))
    done = _python(project, "-m", "stages", "prepare")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {told}")
    assert len(done.stderr.splitlines()) == 1
    assert [path.read_text() for path in project.rglob("*.npy")] == ["earlier"]


def test_a_mistake_ends_a_command_with_one_line(project: Path) -> None:
    (project / "params.yaml").unlink()
    done = _python(project, "-m", "pipeline", "repro")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: params\.yaml: .*No such file.*\n", done.stderr)


@pytest.mark.parametrize("command", [("stages", "prepare"), ("pipeline", "repro")])
def test_outside_a_pipeline_there_is_one_line(tmp_path: Path, command: tuple[str, str]) -> None:
    done = _python(tmp_path, "-m", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: dvc\.yaml: not found; .*\n", done.stderr)


def test_a_version_to_promote_needs_its_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["promote", "--to", "1"])
    told = "error: --to needs --stage: each model numbers its own versions\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["--help"], {"commands": [], "mlflow": False}),
        (["verify", "--help"], {"commands": ["verify"], "mlflow": False}),
        (["track", "--help"], {"commands": ["track"], "mlflow": True}),
    ],
)
def test_only_the_module_of_the_command_that_is_called_is_imported(
    project: Path, arguments: list[str], imported: dict[str, Any]
) -> None:
    done = _python(project, "-c", IMPORTED, *arguments)
    assert done.stdout.startswith("usage: python -m pipeline")
    assert json.loads(done.stderr) == imported


def test_each_line_of_a_mistake_is_marked_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"), errors.reported():
        raise errors.ParamsError("seed: wrong\nprobe: missing")
    assert capsys.readouterr() == ("", "error: seed: wrong\nerror: probe: missing\n")


def test_an_interruption_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^130$"), errors.reported():
        raise KeyboardInterrupt
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_the_program_is_not_told_as_a_mistake_of_its_user() -> None:
    with pytest.raises(ZeroDivisionError), errors.reported():
        raise ZeroDivisionError
