"""Ray: on this machine, or the cluster that RAY_ADDRESS names; and Tune, which assigns trials."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler

import pipeline
import stages
from pipeline.data import datasets
from pipeline.data.datasets import Dataset
from pipeline.errors import SweepError
from pipeline.outs import machine, paths, variables
from pipeline.params import Runtime
from pipeline.sweeps import worker
from pipeline.sweeps.sampling import Search
from pipeline.sweeps.worker import ENDED, POINT, Work

LOST = 3  # times that a trial whose worker is lost is begun anew elsewhere
SPARE = 200 * 2**20  # bytes of object store beside the dataset, for Ray's own
Trials = list[TuneTrial]
Ended = Callable[[Mapping[str, Any], Mapping[str, Any]], None]  # what was drawn; what came of it


@contextmanager
def cluster(settings: Runtime, dataset: Dataset) -> Iterator[None]:
    """Connect to Ray, or start it on this machine.

    Raises:
        SweepError: there is no cluster at RAY_ADDRESS.
    """
    address = os.environ.get("RAY_ADDRESS")
    # Read when NumPy and TensorFlow are imported, so a worker has them from its start. What may
    # not be set can't be unset from here: empty it is without effect, and `confirm` removes it.
    pinned = dict.fromkeys(variables.DROPPED, "") | variables.pins(settings)
    common: dict[str, Any] = {
        # The code travels, so a node needs the packages and no clone of the repository.
        "runtime_env": {
            "env_vars": pinned,
            "py_modules": [str(Path(code.__file__ or "").parent) for code in (pipeline, stages)],
            "excludes": ["**/__pycache__"],
        },
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    if address and "://" in address:
        # Ray's client would run Tune, and with it what is kept of trials, on another machine.
        raise SweepError(
            f"RAY_ADDRESS: found {address}, expected HOST:PORT, of a node of a cluster"
        )
    try:
        if address:
            ray.init(address, **common)
        else:
            size = sum(array.nbytes for _, array in dataset.arrays())
            ray.init(
                "local",
                num_cpus=machine.cores(),
                include_dashboard=False,
                object_store_memory=size + SPARE,
                **common,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"RAY_ADDRESS={address}" if address else "this machine"
        reason = str(error).splitlines()[0]
        raise SweepError(f"{where}: {reason}; expected a cluster that this machine is in") from None
    try:
        yield
    finally:
        ray.shutdown()


def prepared() -> Dataset:
    """What the stage `prepare` left, in memory, for the object store."""
    arrays = datasets.load(paths.PREPARED).arrays()
    return Dataset(**{name: np.array(array) for name, array in arrays})


def run(
    work: Work,
    dataset: Dataset,
    search: Search,
    *,
    threads: int,
    ended: Ended,
    lost: Callable[[Mapping[str, Any]], None],
    scheduler: ASHAScheduler | None = None,
) -> None:
    """Run trials until all have ended, or Ctrl-C.

    Args:
        work: what they have in common.
        dataset: goes to each node once, into its object store.
        search: where their points come from.
        threads: of one trial, a CPU each.
        ended: called when a trial has ended.
        lost: called when one is given up, since its workers were lost again and again.
        scheduler: ends trials early.
    """
    for name in ("ray.tune", "ray.data", "ray.train", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainable = tune.with_resources(
        tune.with_parameters(worker.run, work=work, dataset=dataset), {"cpu": threads}
    )
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    at_once = max(int(resources.get("CPU", 0)) // threads, 1)
    # Tune keeps a snapshot of its own here, every ten seconds. What ended since the last one would
    # be trained again, so a sweep goes on from the files of its trials instead.
    with tempfile.TemporaryDirectory() as folder:
        tune.run(
            trainable,
            config=dict(search.space),
            num_samples=search.samples,
            metric=work.metric or None,
            mode=None if not work.metric else "min" if work.worst > 0 else "max",
            search_alg=search.searcher,
            max_concurrent_trials=at_once if search.searcher else None,
            scheduler=scheduler,
            storage_path=folder,
            max_failures=LOST,
            callbacks=[_Reporter(ended, lost)],
            raise_on_failed_trial=False,
            verbose=0,
        )


class _Reporter(tune.Callback):
    """Reports each trial that has ended, once."""

    def __init__(self, ended: Ended, lost: Callable[[Mapping[str, Any]], None]) -> None:
        self.ended = ended
        self.lost = lost

    def on_trial_complete(self, iteration: int, trials: Trials, trial: TuneTrial, **_: Any) -> None:  # noqa: ARG002
        self.ended(trial.config[POINT], trial.last_result[ENDED])

    def on_trial_error(self, iteration: int, trials: Trials, trial: TuneTrial, **_: Any) -> None:  # noqa: ARG002
        self.lost(trial.config[POINT])
