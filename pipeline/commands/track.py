"""Make the runs that dvc.lock has results for and the store does not."""

import argparse

from pipeline import stage_files
from pipeline.errors import LockError
from pipeline.outs import dvc_lock, paths
from pipeline.tracking import pictures, runs
from pipeline.tracking.store import Store, faults_reported
from pipeline.verification import agreement

DATA = (str(paths.PREPARED),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main() -> None:
    """Walk dvc.lock; complete the run of each stage, whatever is there of it; report what was done.

    Raises:
        LockError: a line for each stage that dvc.lock has no result of, or another than lies here,
            after all were tried.
        TrackingError: the store can't be reached, or fails.
    """
    refused: list[str] = []
    with faults_reported():
        store = Store()
        for stage in runs.tracked_stages():
            try:
                print(f"{stage}: {_track(store, stage)}")
            except LockError as error:
                refused.append(str(error))
        if not refused:
            for stage in stage_files.declared("ARTIFACTS"):
                pictures.attach(store, dvc_lock.locked(stage))
    if refused:
        raise LockError("\n".join(refused))


def _track(store: Store, stage: str) -> str:
    state = dvc_lock.locked(stage)
    done = "tracked"
    if not store.finished(state.fingerprint):
        # What a run is made of: the outs, and the images that it trained on.
        data = {path: md5 for path, md5 in state.deps.items() if path in DATA}
        agreement.check(state.outs | data)
        runs.make(store, state)
        done = "run made"
    store.keep_one(state.fingerprint, running=True)
    return done
