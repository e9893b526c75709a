"""Make the runs that dvc.lock has results for and the store does not."""

import argparse

from pipeline import stage_files
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
        LockError: an out in the working tree is not the one that dvc.lock names.
        TrackingError: the store can't be reached, or fails.
    """
    with faults_reported():
        store = Store()
        for stage in runs.tracked_stages():
            state = dvc_lock.locked(stage)
            if store.finished(state.fingerprint):
                print(f"{stage}: tracked")
            else:
                # What a run is made of: the outs, and the images that it trained on.
                data = {path: md5 for path, md5 in state.deps.items() if path in DATA}
                agreement.check(state.outs | data)
                runs.make(store, state)
                print(f"{stage}: run made")
            store.keep_one(state.fingerprint, running=True)
        for stage in stage_files.declared("ARTIFACTS"):
            pictures.attach(store, dvc_lock.locked(stage))
