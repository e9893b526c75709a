"""Where the runs are kept, and how a run is found again."""

import fcntl
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from pipeline.tracking import address

EXPERIMENT = "autoencoders"

# What goes wrong is raised; MLflow's notes on its own tables and type hints help no one here.
logging.getLogger("mlflow").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="mlflow")


class Store:
    """A connection to the tracking store, with the experiment in place."""

    def __init__(self) -> None:
        uri = address.tracking_uri()
        with _alone(uri):
            self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            self.experiment_id = self._experiment().experiment_id

    def run_of(self, fingerprint: str) -> Run | None:
        """The run made from inputs with this fingerprint: a finished one before any other."""
        runs = self.client.search_runs(
            [self.experiment_id], filter_string=f"tags.`dvc.fingerprint` = '{fingerprint}'"
        )
        finished = [run for run in runs if run.info.status == "FINISHED"]
        return next(iter(finished + list(runs)), None)

    def _experiment(self) -> Experiment:
        if found := self.client.get_experiment_by_name(EXPERIMENT):
            return found
        # On a server, another client may be first; if none was, the lines below say so.
        with suppress(MlflowException):
            self.client.create_experiment(EXPERIMENT, artifact_location=address.artifacts())
        if found := self.client.get_experiment_by_name(EXPERIMENT):
            return found
        raise MlflowException(f"experiment '{EXPERIMENT}' can be neither found nor made")


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let one process at a time open a SQLite store.

    The first one makes the tables by a chain of migrations; MLflow lets others in between, and
    they fail: seen with three trainings that start together.
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///"))
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
