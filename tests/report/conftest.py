"""A repository of git and DVC with one small stage, as it was twice and as it is now."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.reproduction import dvc_cache

DVC_YAML = """
stages:
  draw:
    desc: Draw <b>a picture</b> & count.
    cmd: cp in/picture.png picture.png && cp in/history.csv history.csv && cp in/metrics.json .
    deps: [in]
    params: [draw]
    outs: [picture.png]
    plots: [history.csv: {cache: false}]
    metrics: [metrics.json: {cache: false}]
"""
METRICS = {"score": 0.75, "<i>count</i>": 1200, "per_class": [10, 20], "reached": None}


class Project:
    """The repository in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str) -> str:
        """Run `command` there, with a git identity; return what it prints."""
        who = {f"GIT_{role}_{key}": "a@example.org" for role in ("AUTHOR", "COMMITTER")
               for key in ("NAME", "EMAIL")}  # fmt: skip
        done = subprocess.run(
            command,
            cwd=self.path,
            env=os.environ | who,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str, grey: int, epochs: int, **metrics: float) -> None:
        """Let the stage make a picture of that grey, a history and `metrics`; commit, and tag."""
        folder = self.path / "in"
        folder.mkdir(exist_ok=True)
        (self.path / "params.yaml").write_text(f"draw: {{grey: {grey}, epochs: {epochs}}}\n")
        Image.fromarray(np.full((4, 6), grey, np.uint8)).save(folder / "picture.png")
        rows = [f"{epoch},{1 / epoch},{2 / epoch}" for epoch in range(1, epochs + 1)]
        (folder / "history.csv").write_text("\n".join(["epoch,loss,test_loss", *rows, ""]))
        (folder / "metrics.json").write_text(json.dumps(METRICS | metrics))
        self.run(sys.executable, "-m", "dvc", "repro", "--quiet")
        self.run("git", "add", ".")
        self.run("git", "commit", "--quiet", "--message", message)
        self.run("git", "tag", message.split(maxsplit=1)[0])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, new_repository: Path) -> Project:
    """Two commits, tagged `first` and `second`."""
    project = Project(tmp_path_factory.mktemp("project"))
    shutil.copytree(new_repository, project.path, dirs_exist_ok=True)
    (project.path / "dvc.yaml").write_text(DVC_YAML)
    project.commit("first <commit>", grey=100, epochs=3)
    project.commit("second", grey=200, epochs=4, score=0.5)
    return project


def entered(made: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of `made`, in `folder`, to change: the current folder."""
    path = Path(shutil.copytree(made.path, folder / "project", symlinks=True))
    monkeypatch.chdir(path)
    dvc_cache.folder.cache_clear()
    return Project(path)


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy to change, the current folder."""
    return entered(made, tmp_path, monkeypatch)
