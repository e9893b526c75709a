"""The process that follows a stage: `python -m pipeline.tracking.follow STAGE`, rows on its input.

It makes the stage's MLflow run, adds an epoch's figures as they come, and completes the run from
the files when the stage says that all are written. If the input ends before that, the stage has
died, and so the run is marked.
"""

import json
import sys
from collections.abc import Iterator

from pipeline import lock
from pipeline.tracking import runs
from pipeline.tracking.store import Store


def main(stage: str) -> None:
    """Follow `stage`; an exception ends this process and is told by the stage in one line."""
    started = lock.current(stage)
    store = Store()
    run = runs.begin(store, started)
    if run is None:
        return
    _answered()
    for message in _messages():
        if "complete" in message:
            runs.complete(store, run, lock.current(stage), _answered)
            return
        runs.log_epochs(store, run, [message])
        _answered()
    store.client.set_terminated(run.info.run_id, "KILLED")


def _messages() -> Iterator[dict[str, float]]:
    for line in sys.stdin:
        yield json.loads(line)


def _answered() -> None:
    sys.stdout.write(".")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
