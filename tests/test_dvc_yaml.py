"""dvc.yaml against the code: a stage depends on every module and param that can change its outs."""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# They tell people and MLflow what happens, and can change no out.
TELLING = ("pipeline/tracking/", "pipeline/progress.py")

every_stage = pytest.mark.parametrize("stage", STAGES)


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def _imported(file: str) -> Iterator[str]:
    """The dotted name of all that `file` imports, at its top or later, packages included."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _module_file(name: str) -> str | None:
    """The file behind a dotted name; None if it is not one of this repository's modules."""
    path = name.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    return next((file for file in files if (ROOT / file).is_file()), None)


def _holds_only_a_docstring(file: str) -> bool:
    tree = _tree(file)
    return ast.get_docstring(tree) is not None and len(tree.body) == 1


def _reached(stage: str) -> set[str]:
    """The files that take part in `stage`: from its script on, import by import."""
    reached: set[str] = set()
    found = {"stages/__main__.py", f"stages/{stage}.py"}
    while found:
        reached |= found
        files = {_module_file(name) for file in found for name in _imported(file)}
        found = {file for file in files if file and not file.startswith(TELLING)} - reached
    return {file for file in reached if not _holds_only_a_docstring(file)}


def _covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def missing_deps(stage: str, deps: Collection[str]) -> set[str]:
    """The files that take part in `stage` and are neither in `deps` nor in a folder of `deps`."""
    return {file for file in _reached(stage) if not any(_covers(dep, file) for dep in deps)}


def _code_deps(stage: str) -> set[str]:
    return {dep for dep in STAGES[stage]["deps"] if dep.startswith(("pipeline/", "stages/"))}


@every_stage
def test_a_stage_depends_on_all_the_code_it_reaches(stage: str) -> None:
    assert missing_deps(stage, STAGES[stage]["deps"]) == set()


@every_stage
def test_a_stage_depends_on_no_code_that_it_does_not_reach(stage: str) -> None:
    files = _reached(stage)
    assert {dep for dep in _code_deps(stage) if not any(_covers(dep, f) for f in files)} == set()


@pytest.mark.parametrize(("stage", "dep"), [(s, dep) for s in STAGES for dep in _code_deps(s)])
def test_a_dep_left_out_is_missed(stage: str, dep: str) -> None:
    missed = missing_deps(stage, set(STAGES[stage]["deps"]) - {dep})
    if (ROOT / dep).is_dir():
        assert missed == {file for file in _reached(stage) if _covers(dep, file)} != set()
    else:
        assert missed == {dep}


def test_every_stage_has_its_script_and_every_script_its_stage() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert scripts == set(STAGES)
    for stage, entry in STAGES.items():
        assert entry["cmd"] == f"python3 -m stages {stage}"


def _params_read(stage: str) -> set[str]:
    """What the stage and its activity read of `params`, as dotted as it is written."""
    read = set()
    own = ("stages/", "pipeline/activities/")
    files = {file for file in _reached(stage) if file.startswith(own)} - {"stages/__main__.py"}
    nodes = [node for file in files for node in ast.walk(_tree(file))]
    # params.a.b holds params.a as a node of its own.
    parts = [node.value for node in nodes if isinstance(node, ast.Attribute)]
    for node in nodes:
        if node in parts:
            continue
        name, inner = "", node
        while isinstance(inner, ast.Attribute):
            name, inner = f"{inner.attr}.{name}", inner.value
        if isinstance(inner, ast.Name) and inner.id == "params" and name:
            read.add(name.removesuffix("."))
    return {name for name in read if not any(name.startswith(f"{other}.") for other in read)}


@every_stage
def test_a_stage_declares_the_params_that_it_reads_and_no_others(stage: str) -> None:
    assert _params_read(stage) == set(STAGES[stage]["params"])


def test_every_out_is_written_by_one_stage() -> None:
    outs = [
        out if isinstance(out, str) else next(iter(out))
        for entry in STAGES.values()
        for kind in ("outs", "metrics", "plots")
        for out in entry.get(kind, [])
    ]
    assert len(outs) == len(set(outs))


def _pipeline_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")]


def test_only_tracking_imports_mlflow() -> None:
    importing = {file for file in _pipeline_files() if "mlflow" in _imported(file)}
    assert importing
    assert {file for file in importing if not file.startswith("pipeline/tracking/")} == set()


def test_only_sweeps_import_ray() -> None:
    importing = {file for file in _pipeline_files() if {"ray", "optuna"} & set(_imported(file))}
    assert importing
    assert {file for file in importing if not file.startswith("pipeline/sweeps/")} == set()


def test_imports_point_from_stages_to_pipeline_and_to_no_command_line() -> None:
    importers = {
        (file, name)
        for file in _pipeline_files()
        for name in _imported(file)
        if name in {"stages", "tests", "pipeline.cli"}
    }
    assert importers == {("pipeline/__main__.py", "pipeline.cli")}


def test_prepare_and_the_command_line_import_nothing_heavy() -> None:
    code = "import sys, stages.__main__, stages.prepare, pipeline.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert loaded.isdisjoint({"tensorflow", "keras", "mlflow", "matplotlib", "pandas", "ray"})
