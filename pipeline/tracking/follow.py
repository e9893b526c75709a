"""The process that follows a stage: `python -m pipeline.tracking.follow STAGE`, rows on its input.

It makes the stage's MLflow run, adds an epoch's figures as they come, and completes the run from
the files when the stage says that all are written. If the input ends before that, the stage has
died, and so the run is marked.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from pipeline import errors
from pipeline.errors import TrackingError
from pipeline.outs import dvc_lock, runtime

# Seconds from one batch of epochs to the next: a call takes 28 ms of a core, a dense epoch 300 ms.
INTERVAL = 5.0


def main(arguments: list[str]) -> None:
    """Follow the stage that `arguments` name; an early end is reported in one line."""
    (stage,) = arguments
    # MLflow's import is as TensorFlow's: 2 core-seconds so, 3.5 otherwise. It needs pandas.
    with runtime.lean_import(used=("pandas",)):
        from pipeline.tracking import runs
        from pipeline.tracking.store import Store, faults_reported

    with errors.reported(), faults_reported():
        store = Store()
        started = dvc_lock.current(stage)
        if store.finished(started.fingerprint):
            return
        run = runs.begin(store, started)
        _answered()
        for messages in _messages():
            # What came with the last message counts, too: how long an epoch took is in no file.
            rows = [message for message in messages if "complete" not in message]
            runs.log_epochs(store, run, rows)
            _answered()
            if len(rows) < len(messages):
                runs.complete(store, run, dvc_lock.current(stage), _answered)
                return
        store.client.set_terminated(run.info.run_id, "KILLED")
        raise TrackingError("the stage did not say that it is complete")


def _messages() -> Iterator[list[dict[str, float]]]:
    """What has come since the last time: many at once if epochs are short, or the store slow."""
    messages: list[dict[str, float]] = []
    rest, due, ended = b"", 0.0, False
    while not ended:
        wait = max(0, due - time.monotonic()) if messages else None
        if select.select([sys.stdin], [], [], wait)[0]:
            read = os.read(sys.stdin.fileno(), 2**16)
            ended = not read
            *lines, rest = (rest + read).split(b"\n")
            messages += map(json.loads, lines)
        complete = any("complete" in message for message in messages)
        if ended or complete or time.monotonic() >= due:
            yield messages
            messages, due = [], time.monotonic() + INTERVAL


def _answered() -> None:
    with suppress(BrokenPipeError):  # the stage has been killed; its run is seen to nevertheless
        os.write(sys.stdout.fileno(), b".")


if __name__ == "__main__":
    main(sys.argv[1:])
