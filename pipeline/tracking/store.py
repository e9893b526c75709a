"""Where the runs are kept, and how a run is found again."""

import fcntl
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import TrackingError
from pipeline.params import PARAMS, load_params
from pipeline.tracking import address

DESCRIPTION = (
    "The stages of a DVC pipeline, a run for each result. `dvc.fingerprint` names all that went "
    "in; `dvc.lock.yaml`, among a run's artifacts, has every md5 behind it and of what it made."
)
NOTE = "mlflow.note.content"  # the tag that MLflow's UI shows as a description
MAKES_RUNS = "`make track` makes those of dvc.lock"

# A server that does not answer is given up on after a minute; MLflow's own 120 s, eight times over,
# take longer than anyone watches `make track`. A stage's follower comes with less (live.py).
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

# What goes wrong is raised; MLflow's notes on its own tables and type hints help no one here.
logging.getLogger("mlflow").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="mlflow")


class Store:
    """A connection to the tracking store, with the experiment in place.

    Args:
        make: whether to make what is missing of it. A command that only looks does not.

    Attributes:
        settings: the section `tracking` of params.yaml.
        name: of the experiment.
        uri: the store's address.

    Raises:
        ParamsError: params.yaml is wrong.
        TrackingError: the experiment is missing, and is not to be made, or in MLflow's trash; or
            the store is a folder.
    """

    def __init__(self, *, make: bool = True) -> None:
        self.settings = load_params(PARAMS).tracking
        self.name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or self.settings.experiment
        self.uri = address.tracking_uri()
        if self.uri.startswith("file:"):
            raise TrackingError(
                f"{self.uri}: a folder, where MLflow keeps runs no more; expected a database or a "
                "server: MLFLOW_TRACKING_URI=sqlite:///mlflow.db, or unset"
            )
        file = address.database(self.uri)
        if not make and file and not file.exists():
            raise TrackingError(f"{file}: found no runs, expected some; {MAKES_RUNS}")
        if self.uri.startswith(address.DATABASES):
            # One try shows what is wrong; MLflow makes ten of them first, over 100 s.
            create_engine(self.uri).connect().close()
        with _alone(self.uri):
            self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.experiment_id = self._experiment(make=make).experiment_id

    def finished(self, fingerprint: str) -> Run | None:
        """The complete run made from inputs with this fingerprint; of several the first."""
        return _first_finished(self._runs(fingerprint))

    def keep_one(self, fingerprint: str, *, running: bool) -> None:
        """Delete what is superfluous beside a finished run with this fingerprint.

        That is: finished ones but the first, which two clones may have made at the same time; and
        those of trainings that were interrupted. One that is said to be running may be a clone's
        that will see to it itself, or of a process that died without a word: only if `running`.
        """
        runs = self._runs(fingerprint)
        kept = _first_finished(runs)
        if not kept:
            return
        for run in runs:
            if run.info.run_id != kept.info.run_id and (running or run.info.status != "RUNNING"):
                self.delete(run)

    def delete(self, run: Run) -> None:
        """Put `run` and its model into MLflow's trash; another process may have done so already."""
        models = self.client.search_logged_models(
            [self.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
        )
        with suppress(MlflowException):
            for model in models:
                self.client.delete_logged_model(model.model_id)
            self.client.delete_run(run.info.run_id)

    def search(self, condition: str) -> Iterator[Run]:
        """Every run that fulfils `condition`, newest first."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                filter_string=condition,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _runs(self, fingerprint: str) -> list[Run]:
        return list(self.search(f"tags.`dvc.fingerprint` = '{fingerprint}'"))

    def _experiment(self, *, make: bool) -> Experiment:
        found = self.client.get_experiment_by_name(self.name)
        where = address.redacted(self.uri)
        if found and found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"{where}: found experiment '{self.name}' in MLflow's trash, expected it outside; "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}` restores it"
            )
        if found:
            return found
        if not make:
            raise TrackingError(
                f"{where}: found no experiment '{self.name}', expected one; {MAKES_RUNS}"
            )
        try:
            self.client.create_experiment(
                self.name, address.artifacts(self.uri), tags={NOTE: DESCRIPTION}
            )
        except MlflowException:  # on a server, another client may have been first
            if not self.client.get_experiment_by_name(self.name):
                raise
        return self._experiment(make=False)


def _first_finished(runs: list[Run]) -> Run | None:
    # By when they were finished, not begun: whoever looked while one was still running has kept the
    # other, and two processes must not each delete what the other keeps.
    finished = [run for run in runs if run.info.status == "FINISHED"]
    return min(finished, key=lambda run: (run.info.end_time, run.info.run_id), default=None)


@contextmanager
def faults_reported() -> Iterator[None]:
    """Report what the store can't do in one line: MLflow's own, of 300 characters, names passwords.

    Raises:
        TrackingError: for whatever MLflow, its database, a missing driver or the network raises.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        cause: BaseException = error
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
        reason = " ".join(str(cause).split()) or type(cause).__name__
        raise TrackingError(address.redacted(f"{address.tracking_uri()}: {reason}")) from None


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let one process at a time open a SQLite store.

    The first one makes the tables by a chain of migrations; MLflow lets others in between, and
    they fail: seen with three trainings that start together.
    """
    path = address.database(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
