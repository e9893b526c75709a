"""Python programs as processes: copies of one that has done its imports, or started as usual."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Protocol

try:
    from pipeline.forkserver import client as forkserver
except ModuleNotFoundError as error:
    if error.name != "pipeline.forkserver":
        raise
    # Deleted: each process does its own imports.
    forkserver = None  # type: ignore[assignment]


class Process(Protocol):
    """What is needed of `subprocess.Popen`; a process that a fork server made has it, too."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit status, if it has ended; negative if a signal ended it."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""

    def kill(self) -> None:
        """End it, if it has not ended."""


def start(
    program: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    outlives: bool = False,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Process:
    """Run `python -m PROGRAM ARGUMENTS`.

    Args:
        program: a module.
        arguments: its own.
        env: in place of the caller's environment.
        outlives: it goes on when its caller is killed, and gets none of the terminal's signals.
        stdin: as for `subprocess.Popen`: None, `PIPE`.
        stdout: likewise.
        stderr: likewise, or `STDOUT`.
    """
    environment = dict(os.environ if env is None else env)
    streams = (stdin, stdout, stderr)
    if forkserver:
        copied = forkserver.copy(
            program, arguments, environment, outlives=outlives, streams=streams
        )
        if copied:
            return copied
        # What does without a server here does so altogether: `python -m stages` would ask the same
        # one, be refused, and start itself, without end.
        environment.pop(forkserver.FOLDER, None)
    return subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        env=environment,
        start_new_session=outlives,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def copy(program: str, *arguments: str) -> Process | None:
    """`python -m PROGRAM ARGUMENTS` as a copy with this process's streams; None: no server."""
    if not forkserver:
        return None
    streams = (None, None, None)
    return forkserver.copy(program, arguments, os.environ, outlives=False, streams=streams)


@contextmanager
def served(*programs: str) -> Iterator[None]:
    """Start processes of `programs` as copies while the block runs, if that is possible."""
    if not forkserver:
        yield
        return
    with forkserver.serving(*programs):
        yield
