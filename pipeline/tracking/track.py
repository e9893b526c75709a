"""Make the runs that dvc.lock has results for and the store does not."""

from mlflow.exceptions import MlflowException

from pipeline import lock
from pipeline.errors import LockError
from pipeline.tracking import runs
from pipeline.tracking.store import Store, told


def main() -> None:
    """Walk dvc.lock; complete the run of each stage, whatever is there of it; tell what was done.

    Raises:
        LockError: an out in the working tree is not the one that dvc.lock names.
        TrackingError: the store can't be reached, or fails.
    """
    with told():
        store = Store()
        for stage in runs.STAGES:
            state = lock.locked(stage)
            if store.finished(state.fingerprint):
                print(f"{stage}: tracked")
            else:
                _check_outs(state)
                _make_run(store, state)
                print(f"{stage}: run made")
            store.keep_one(state.fingerprint, running=True)


def _make_run(store: Store, state: lock.StageState) -> None:
    try:
        runs.complete(store, runs.begin(store, state), state, alive=lambda: None)
    except MlflowException:
        # `track` in another clone may have been first, and have removed this run as superfluous.
        if not store.finished(state.fingerprint):
            raise


def _check_outs(state: lock.StageState) -> None:
    found = lock.hashes(state.outs)
    for path, md5 in state.outs.items():
        if found[path] != md5:
            raise LockError(
                f"{path}: found md5 {found[path]}, expected {md5} as dvc.lock says; "
                "`dvc repro` or `dvc checkout` brings them together"
            )
