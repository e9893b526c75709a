"""`make verify`: what differs is found file by file, measured, judged, and told with its cause."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands import verify
from pipeline.errors import ParamsError, RepositoryError
from pipeline.outs import artifacts
from pipeline.outs.dvc_lock import StageState
from pipeline.reproduction import dvc_cache
from tests.report.conftest import Project, entered

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
    """A copy to change, the current folder."""
    return entered(made, tmp_path, monkeypatch)


def commit(project: Project) -> None:
    project.run("git", "commit", "--quiet", "--all", "--message", "changed")


def drift(capsys: pytest.CaptureFixture[str], tolerance: float | None = None) -> str:
    """What is printed where status 1 ends it."""
    with pytest.raises(SystemExit, match=r"^1$"):
        verify.main(stage=None, twice=False, tolerance=tolerance)
    return capsys.readouterr().out


def gaps(printed: str) -> dict[str, str]:
    """The last column of the table, by out, of those that differ."""
    rows = [line.split(maxsplit=3) for line in printed.splitlines() if " NO " in line]
    return {row[0]: row[3] for row in rows}


def test_arrays_are_held_against_those_in_dvc_s_cache(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.write_array(MADE / "prepared/images.npy", np.array([1, 6], np.uint8))
    artifacts.write_array(MADE / "prepared/classes.npy", np.array(["cat", "dot"]))
    commit(project)
    printed = drift(capsys)
    assert gaps(printed) == {"data/prepared/classes.npy": "inf", "data/prepared/images.npy": "4"}
    assert "  data: in is not the one that dvc.lock names\n" in printed


def test_arrays_that_dvc_s_cache_has_lost_are_not_at_hand(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.write_array(MADE / "prepared/images.npy", np.array([1, 6], np.uint8))
    commit(project)
    for cached in dvc_cache.folder().glob("*/*"):
        if not cached.name.endswith(dvc_cache.FOLDER):
            cached.unlink()
    assert gaps(drift(capsys))["data/prepared/images.npy"] == "expected bytes not at hand"
    shutil.rmtree(".dvc/cache")
    assert gaps(drift(capsys))["data/prepared/images.npy"] == "expected bytes not at hand"


def test_a_tolerance_judges_history_and_metrics_and_no_class_labels(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.write_text(MADE / "predictions/make.csv", "actual,predicted\n7,1")
    artifacts.write_metrics(MADE / "metrics/make.json", {"loss": 0.5004})
    commit(project)
    verify.main(stage=None, twice=False, tolerance=1e-3)
    printed = capsys.readouterr().out
    assert gaps(printed) == {"data/predictions/make.csv": "6", "data/metrics/make.json": "0.0004"}
    assert printed.endswith(
        "passed: history and metrics agree within 0.001, although bytes differ\n"
    )
    artifacts.write_history(MADE / "history/make.csv", [{"epoch": 1, "loss": 0.6}])
    commit(project)
    assert "passed" not in drift(capsys, tolerance=1e-3)


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


@pytest.mark.usefixtures("project")
def test_a_dvc_that_does_not_say_where_its_cache_is_is_quoted_in_one_line() -> None:
    shutil.rmtree(".dvc")
    with pytest.raises(RepositoryError, match=r"^dvc cache dir: ERROR: [^\n]*$"):
        verify.main(stage=None, twice=False, tolerance=None)


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("pipeline/outs", "deep/paths.py", "code"),
        ("pipeline/params.py", "", "code"),
        ("data/prepared", "images.npy", "data"),
        ("data/raw/mnist.pkl", "", "data"),
    ],
)
def test_code_is_what_is_or_holds_python(tmp_path: Path, path: str, file: str, kind: str) -> None:
    artifacts.write_text(tmp_path / path / file, "")
    assert verify._kind(tmp_path / path) == kind


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
