"""A small real pipeline in a repository of its own, run once for all tests of this folder."""

import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from pipeline import readers

ROOT = Path(__file__).parents[2]
KINDS: tuple[readers.Kind, ...] = ("images", "labels")
SMALL_PARAMS = {"train_classifier": 4, "train_dense_ae": 3, "train_conv_ae": 2, "probe": 2}


@dataclass(frozen=True)
class Repository:
    """A clone of this repository, with 600 training and 200 test images and few epochs."""

    path: Path

    def run(self, *command: str, code: int = 0, **variables: str) -> str:
        """Run `command` there as a user would; return what it printed, errors included."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def environment(self) -> dict[str, str]:
        """A user's environment: the venv's commands first on PATH, a git identity, no tracking."""
        kept = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        for role in ("AUTHOR", "COMMITTER"):
            kept |= {f"GIT_{role}_NAME": "A Tester", f"GIT_{role}_EMAIL": "tester@example.org"}
        return kept

    def python(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run this interpreter there."""
        return self.run(sys.executable, *arguments, code=code, **variables)

    def dvc(self, *arguments: str, code: int = 0) -> str:
        """Run DVC there."""
        return self.python("-m", "dvc", *arguments, code=code)

    def edit_params(self, edit: Callable[[str], str]) -> None:
        """Rewrite params.yaml."""
        path = self.path / "params.yaml"
        path.write_text(edit(path.read_text()))

    @property
    def client(self) -> mlflow.MlflowClient:
        """The repository's own tracking store."""
        return mlflow.MlflowClient(f"sqlite:///{self.path / 'mlflow.db'}")

    def runs(self) -> list[Run]:
        """Every run in it, newest first."""
        experiment = self.client.get_experiment_by_name("autoencoders")
        assert experiment
        return list(self.client.search_runs([experiment.experiment_id]))


def make_repository(path: Path) -> Repository:
    """Clone the files that git tracks or would track, make the data and the epochs small."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    outs = ("data/figures/", "data/history/", "data/metrics/", "dvc.lock")
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(outs):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    (path / ".venv").symlink_to(sys.prefix)

    for name, count in (("mnist.pkl", 600), ("mnist_test.pkl", 200)):
        file = path / "data/raw" / name
        part = {kind: readers.read(file, kind, "train")[:count] for kind in KINDS}
        file.write_bytes(pickle.dumps(part))

    repository = Repository(path)
    repository.edit_params(few_epochs)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "a small pipeline")
    return repository


def few_epochs(text: str) -> str:
    """params.yaml with the epochs of `SMALL_PARAMS`."""
    for section, epochs in SMALL_PARAMS.items():
        text = re.sub(rf"(?ms)(^{section}:.*?epochs: )\d+", rf"\g<1>{epochs}", text, count=1)
    return text.replace("map_images: 2000", "map_images: 100")


def copied(repository: Repository, target: Path) -> Repository:
    """A copy of `repository`, results and store included, for a test to change."""
    return Repository(Path(shutil.copytree(repository.path, target, symlinks=True)))


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository after `dvc repro`, its results committed; no test leaves it changed."""
    repository = make_repository(tmp_path_factory.mktemp("repository"))
    repository.dvc("repro")
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "results")
    return repository
