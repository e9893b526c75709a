"""`make verify`: what differs is found file by file, measured, judged, and told with its cause."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import verify
from pipeline.errors import ParamsError
from pipeline.outs import artifacts
from pipeline.outs.dvc_lock import StageState
from pipeline.reproduction import dvc_cache
from tests.report.conftest import Project

DVC_YAML = """
stages:
  make:
    cmd: cp -r in/. data
    deps: [in]
    params: [runtime]
    outs: [data/prepared]
    plots: [data/history/make.csv: {cache: false}, data/predictions: {cache: false}]
    metrics: [data/metrics/make.json: {cache: false}]
"""
RUNTIME = "runtime: {threads: 1, memory_budget: 1024, cpu_isa: avx2, device: cpu}\n"
MADE = Path("in")  # what the stage copies


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_repository: Path) -> Project:
    """A repository whose one stage has made arrays, a history, metrics and class labels."""
    project = Project(tmp_path_factory.mktemp("made"))
    shutil.copytree(new_repository, project.path, dirs_exist_ok=True)
    (project.path / "dvc.yaml").write_text(DVC_YAML)
    (project.path / "params.yaml").write_text(RUNTIME)
    folder = project.path / MADE
    artifacts.write_array(folder / "prepared/images.npy", np.array([1, 2], np.uint8))
    artifacts.write_array(folder / "prepared/classes.npy", np.array(["cat", "dog"]))
    artifacts.write_history(folder / "history/make.csv", [{"epoch": 1, "loss": 0.5}])
    artifacts.write_metrics(folder / "metrics/make.json", {"loss": 0.5})
    artifacts.write_text(folder / "predictions/make.csv", "actual,predicted\n7,7")
    project.run(sys.executable, "-m", "dvc", "repro", "--quiet")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message", "made")
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it to change, the current folder."""
    path = Path(shutil.copytree(made.path, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(path)
    dvc_cache.folder.cache_clear()
    return Project(path)


def commit(project: Project) -> None:
    project.run("git", "commit", "--quiet", "--all", "--message", "changed")


@pytest.mark.usefixtures("project")
def test_stages_that_are_being_worked_on_are_not_those_of_the_last_commit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("dvc.yaml").write_text(DVC_YAML.replace("make:", "bake:"))
    verify.main(stage=None, twice=False, tolerance=None)
    assert "identical: 4 outs, this rebuild and dvc.lock" in capsys.readouterr().out


def test_a_runtime_that_is_missing_is_told_before_anything_is_rebuilt(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("params.yaml").write_text(RUNTIME.replace("runtime", "runtimes"))
    commit(project)
    with pytest.raises(ParamsError, match=r"^params\.yaml of HEAD: runtime: missing; [^\n]*$"):
        verify.main(stage=None, twice=False, tolerance=None)
    assert "rebuilding" not in capsys.readouterr().out


def written(root: Path, values: dict[str, int]) -> Path:
    """A folder `out` below `root`, with a JSON file for each of `values`."""
    for name, value in values.items():
        path = root / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"value": value}))
    return root


def test_every_file_that_differs_in_a_folder_or_below_it_is_named(tmp_path: Path) -> None:
    rebuilt = written(tmp_path / "rebuilt", {"a.json": 1, "sub/same.json": 2, "sub/b.json": 3})
    expected = written(tmp_path / "expected", {"a.json": 1, "sub/same.json": 2, "sub/b.json": 7})
    state = StageState("visualize", "true", deps={}, params={}, outs={"out": "another.dir"})
    assert list(verify._compare(state, rebuilt, expected, twice=False)) == [
        verify.Out("out/sub/b.json", "visualize", same=False, difference=4.0)
    ]
