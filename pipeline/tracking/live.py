"""The stage's side of tracking: hands what happens to a process of its own, and trains on.

A process and not a thread, so that nothing MLflow does (its import of 2 s, a hanging server, a
crash) can slow, block or fail the stage. Lines of JSON go in; a line comes back for each step that
the store has answered.
"""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

import psutil

from pipeline.tracking import address

PATIENCE = 4.0  # seconds that a finished stage waits for a further sign of life from a server
# A database file does not hang, but other followers may be ahead in the queue to open it, and the
# first of them makes the tables: 4 s, and longer beside two clones' trainings.
PATIENCE_WITH_FILE = 60.0
LOOK = 0.5  # seconds from one look for it to the next
WORKING = 0.1  # seconds of CPU are one too: a follower on a busy machine, not a hanging store
# A server that does not answer is given up on within as many seconds, so that only a stage that
# ends meanwhile has to wait; `make track` has the time to try for longer.
IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
UNTRACKED = "warning: not in MLflow: "


class LiveRun:
    """The MLflow run of a stage, while it runs: a context manager."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.process: subprocess.Popen[bytes] | None = None
        self.epoch_began = 0.0

    def __enter__(self) -> Self:
        self.epoch_began = time.monotonic()
        if os.environ.get("PIPELINE_TRACKING") == "off":
            return self  # `make verify` rebuilds what is tracked already
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.follow", self.stage],
            env=IMPATIENT | os.environ,
            start_new_session=True,  # Ctrl-C is the stage's; the end of its input is the follower's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.set_blocking(_stream(self.process.stdin).fileno(), False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process:
            _close(self.process)

    def log_epoch(self, row: dict[str, float]) -> None:
        """Send an epoch's figures, and how long it took: what no file may hold, MLflow can show."""
        began, self.epoch_began = self.epoch_began, time.monotonic()
        self._send(row | {"epoch_seconds": round(self.epoch_began - began, 3)})

    def complete(self) -> None:
        """Say that all outs are written; wait while the run is made of them, or give up on it."""
        if not self.process:
            return
        self._send({"complete": True})
        _close(self.process)
        if _ended_well(self.process):
            return
        reason = _last_line(_stream(self.process.stderr)) if self.process.poll() else "no answer"
        self.process.kill()
        self.process.wait()
        print(f"{UNTRACKED}{self.stage} ({reason}); `make track` makes it up", file=sys.stderr)

    def _send(self, message: dict[str, float]) -> None:
        # A row lost to a full pipe or a dead follower is in the history file that the run is
        # completed from.
        if not self.process:
            return
        with suppress(OSError):
            os.write(_stream(self.process.stdin).fileno(), json.dumps(message).encode() + b"\n")


def _ended_well(process: subprocess.Popen[bytes]) -> bool:
    """Whether the follower ends its work, never silent and idle for longer than patience allows."""
    file = address.database(address.tracking_uri())
    patience = PATIENCE if file is None else PATIENCE_WITH_FILE
    answers, worked, silent = _stream(process.stdout), _worked(process), 0.0
    while silent < patience:
        silent += LOOK
        if select.select([answers], [], [], LOOK)[0]:
            if not os.read(answers.fileno(), 4096):  # it has closed its output: it ends
                return process.wait() == 0
            silent = 0.0
        if (now := _worked(process)) - worked >= WORKING:
            worked, silent = now, 0.0
    return False


def _worked(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that it has used."""
    user, system, *_ = psutil.Process(process.pid).cpu_times()
    return float(user + system)


def _close(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        _stream(process.stdin).close()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - every stream is a pipe
    return stream


def _last_line(stream: IO[bytes]) -> str:
    lines = stream.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ")[:200] if lines else "no reason given"
