"""Processes, one at a time, and what each took."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StageFailed

BUSY = slice(0, 3)  # of /proc/stat's first line: user, nice and system ...
ALSO_BUSY = slice(5, 8)  # ... interrupts, and time that the host gave to other machines
# What a caller's environment may hold that would make a library other than it is by default.
STEERING = ("_NUM_THREADS", "_ISA", "_CORETYPE", "_CPU_FEATURES", "_FLAGS")
STEERING_PREFIXES = (
    *("TF_", "KERAS_", "CUDA_", "MLFLOW_", "JAX_", "PIPELINE_", "DVC_"),
    *("ATEN_", "MKL_", "ONEDNN_", "DNNL_"),
)


@dataclass(frozen=True)
class Finished:
    """A process that has ended well.

    Attributes:
        output: its standard output.
        seconds: from start to end.
        core_seconds: user and system time, its children's included.
        peak_mib: the most memory that it, or one child of it, held at a time, MiB.
        elsewhere: cores that others kept busy meanwhile; near 0 on a quiet machine.
    """

    output: str
    seconds: float
    core_seconds: float
    peak_mib: float
    elsewhere: float

    @property
    def figures(self) -> dict[str, Any]:
        """The last line of the output, JSON."""
        figures: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return figures


def run(
    *command: str | Path,
    folder: Path = Path(),
    cores: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Finished:
    """Run `command` in `folder` and wait for it.

    Args:
        command: program and arguments.
        folder: to run in.
        cores: the process may use so many; by default, all.
        settings: environment variables, put over the caller's without what steers libraries.

    Raises:
        StageFailed: it ended with an error; what it printed last is in the message.
    """
    allowed = os.sched_getaffinity(0)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start, busy_before = time.perf_counter(), busy()
        os.sched_setaffinity(0, sorted(allowed)[-(cores or len(allowed)) :])
        try:
            child = subprocess.Popen(
                command, cwd=folder, env=environment(settings), stdout=out, stderr=err
            )
        finally:
            os.sched_setaffinity(0, allowed)
        # Not `wait`: only this says what the one child took. A process starts its count of memory
        # at what its parent held, so this one has to stay small: it imports no TensorFlow.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        core_seconds = usage.ru_utime + usage.ru_stime
        others = max(busy() - busy_before - core_seconds, 0)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            last = (out.read() + err.read()).decode().strip().splitlines()[-5:]
            raise StageFailed("\n".join([f"{_told(command)} failed:", *last]))
        return Finished(
            out.read().decode(), seconds, core_seconds, usage.ru_maxrss / 1024, others / seconds
        )


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what steers libraries, and `settings` over it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(STEERING) and not name.startswith(STEERING_PREFIXES)
    }
    return kept | dict(settings or {})


def busy() -> float:
    """Core-seconds that the machine has been busy since it started."""
    ticks = [int(count) for count in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(ticks[BUSY] + ticks[ALSO_BUSY]) / os.sysconf("SC_CLK_TCK")


def _told(command: tuple[str | Path, ...]) -> str:
    return " ".join(["python", *map(str, command[1:])])
