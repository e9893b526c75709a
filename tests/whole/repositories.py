"""Small real pipelines in repositories of their own."""

import contextlib
import io
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from dvc.repo import Repo
from mlflow.entities import Run

# By the ids of runs and models, which a copy of a store has, too: of no use with several of them.
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from pipeline import __main__, stage_files
from pipeline.data.files import readers
from pipeline.data.files.holding import Kind
from pipeline.outs import dvc_lock
from pipeline.tracking import store as _store  # noqa: F401 - sets variables of MLflow for good
from pipeline.training.declaration import trainings
from tests.whole.mlflow_server import free_port
from tests.whole.serving import serving

ROOT = Path(__file__).parents[2]
TRAININGS, STAGES = tuple(trainings(ROOT)), tuple(stage_files.names(ROOT))
KINDS: tuple[Kind, ...] = ("images", "labels")
# Where MLflow's tables name folders of artifacts.
ARTIFACTS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
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
        """A user's environment: the venv's commands first on PATH, a git identity."""
        kept = environment_of_a_user()
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        for role in ("AUTHOR", "COMMITTER"):
            kept |= {f"GIT_{role}_NAME": "A Tester", f"GIT_{role}_EMAIL": "tester@example.org"}
        return kept

    def python(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run this interpreter there."""
        return self.run(sys.executable, *arguments, code=code, **variables)

    def main(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """What `python -m pipeline ARGUMENTS` prints there, errors included.

        It is called in this process, which has imported what takes a command seconds to import.
        """
        printed, ended = io.StringIO(), 0
        with (
            self.entered(**variables),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            try:
                __main__.main([*arguments])
            except SystemExit as exit_:
                ended = int(exit_.code or 0)
        assert ended == code, printed.getvalue()
        return printed.getvalue()

    @contextmanager
    def entered(self, **variables: str) -> Iterator[None]:
        """This process is there, with its own store, and all is as before when the block ends."""
        before = dict(os.environ)
        _artifact_repos_cache.clear()
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            os.environ.pop(name, None)
        os.environ.update(variables)
        try:
            with contextlib.chdir(self.path):
                yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as at the start
            mlflow.set_registry_uri("")  # likewise: that of the runs
            os.environ.clear()
            os.environ.update(before)

    def changed(self) -> dict[str, Any]:
        """What `dvc status` says there, by DVC in this process; empty if all is up to date."""
        with contextlib.chdir(self.path), Repo() as opened:
            status: dict[str, Any] = opened.status()
        return status

    def dvc(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run DVC there."""
        return self.python("-m", "dvc", *arguments, code=code, **variables)

    def edit_params(self, edit: Callable[[str], str]) -> None:
        """Rewrite params.yaml."""
        path = self.path / "params.yaml"
        path.write_text(edit(path.read_text()))

    def outs(self, *stages: str) -> int:
        """How many outs dvc.lock names of these stages."""
        return sum(len(dvc_lock.locked(stage, self.path).outs) for stage in stages)

    @property
    def client(self) -> mlflow.MlflowClient:
        """The repository's own tracking store."""
        _artifact_repos_cache.clear()
        uri = f"sqlite:///{self.path / 'mlflow.db'}"
        return mlflow.MlflowClient(uri, registry_uri=uri)

    def runs(self) -> list[Run]:
        """Every run in it, newest first."""
        experiment = self.client.get_experiment_by_name("autoencoders")
        assert experiment
        return list(self.client.search_runs([experiment.experiment_id]))


def environment_of_a_user() -> dict[str, str]:
    """This process's, less what importing `mlflow` and `pipeline.sweeps` adds to it."""
    return {
        name: value
        for name, value in os.environ.items()
        if "MLFLOW" not in name and not name.startswith("RAY_")
    }


def make_repository(path: Path, *, full: bool = False) -> Repository:
    """Clone the files that git tracks or would track; unless `full`, make data and epochs small."""
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

    repository = Repository(path)
    if not full:
        for name, count in (("mnist.pkl", 600), ("mnist_test.pkl", 200)):
            file = path / "data/raw" / name
            part = {kind: readers.read(file, kind, "train")[:count] for kind in KINDS}
            file.write_bytes(pickle.dumps(part))
        repository.edit_params(lambda text: with_epochs(text, SMALL_PARAMS))
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("git", "add", ".")
    repository.run("git", "commit", "--quiet", "--message", "a small pipeline")
    return repository


def with_epochs(text: str, epochs_of: dict[str, int]) -> str:
    """params.yaml with these epochs, by section."""
    for section, epochs in epochs_of.items():
        text = re.sub(rf"(?ms)(^{section}:.*?epochs: )\d+", rf"\g<1>{epochs}", text, count=1)
    return text.replace("map_images: 2000", "map_images: 100")


def copied(repository: Repository, target: Path) -> Repository:
    """A copy of `repository`, results and store included, for a test to change.

    Its runs have their artifacts in the copy, too.
    """
    _artifact_repos_cache.clear()
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", repository.path, target], check=True)  # half of what shutil takes
    store = target / "mlflow.db"
    if store.exists():
        old, new = (path.absolute().as_uri() for path in (repository.path, target))
        with contextlib.closing(sqlite3.connect(store)) as database, database:
            for table, column in ARTIFACTS.items():
                database.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
                    (f"{old}/", f"{new}/"),
                )
    return Repository(target)


@contextmanager
def served(repository: Repository, stage: str) -> Iterator[str]:
    """The address at which the champion of `stage` answers."""
    port = free_port()
    arguments = ("serve", "--stage", stage, "--port", str(port))
    with serving(
        [sys.executable, "-m", "pipeline", *arguments],
        repository.path,
        repository.environment(),
        f"http://127.0.0.1:{port}/health",
        repository.path / "serve.log",
    ):
        yield f"http://127.0.0.1:{port}/invocations"
