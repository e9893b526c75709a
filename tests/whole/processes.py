"""`make repro` under way, and the processes that it has."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.whole.repositories import Repository

FIRST_WAY = "Jupyter's backend"  # of `WAYS`: in which the small pipeline of all tests is run
MOST = 11  # `make repro`; for each of two trainings DVC, the stage, its follower; what git is asked
PATIENCE = 120  # seconds after which a process counts as hanging
WAYS = {
    "as it is": 'exec "$@"',
    "Jupyter's backend": 'MPLBACKEND=module://matplotlib_inline.backend_inline exec "$@"',
    "no standard input": 'exec "$@" <&-',
    "no standard streams": 'exec "$@" <&- >&- 2>&-',
}


@dataclass(frozen=True)
class Ended:
    """A `make repro` that is over.

    Attributes:
        repository: where it ran.
        code: its exit status.
        most: processes that it had at once.
        printed: what it printed.
    """

    repository: Repository
    code: int
    most: int
    printed: str

    def save(self, file: Path) -> None:
        """For other workers of this run of the tests."""
        file.write_text(json.dumps(vars(self) | {"repository": os.fspath(self.repository.path)}))

    @classmethod
    def load(cls, file: Path) -> "Ended":
        """What was saved."""
        saved = json.loads(file.read_text())
        return cls(**saved | {"repository": Repository(Path(saved["repository"]))})


class Repro:
    """A `make repro` under way, started in one of `WAYS`."""

    def __init__(self, repository: Repository, way: str, printed: Path) -> None:
        self.repository = repository
        self.printed = printed
        self.most = 0
        self.mark = f"MARK={uuid.uuid4()}"
        self.others = {entry.name for entry in Path("/proc").glob("[0-9]*")}
        with printed.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", WAYS[way], "sh", sys.executable, "-m", "pipeline", "repro"],
                cwd=repository.path,
                env=repository.environment() | dict([self.mark.split("=")]),
                stdout=output,
                stderr=output,
            )

    def processes(self) -> dict[int, str]:
        """It and what it has started, as far as that is not over, with their command lines."""
        return dict(self._marked())

    def _marked(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").glob("[0-9]*"):
            if entry.name in self.others:
                continue
            try:
                environment = (entry / "environ").read_bytes()
                if self.mark.encode() in environment:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    yield int(entry.name), command
                elif environment:  # it never gets the mark, which is inherited
                    self.others.add(entry.name)
            except OSError:
                continue  # it has just ended

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for `true()`; end all there is if it takes too long, or there are too many."""
        deadline = time.monotonic() + PATIENCE
        while not true() and self.most <= MOST and time.monotonic() < deadline:
            self.most = max(self.most, len(self.processes()))
            time.sleep(0.02)
        hang = not true()
        if self.most > MOST or hang:
            left = self.processes()
            for number in left:
                kill(number)
            pytest.fail(f"{self.most} processes; left: {left}; {self.printed.read_text()}")

    def ended(self) -> Ended:
        """Wait for its end."""
        self.until(lambda: self.process.poll() is not None)
        printed = self.printed.read_text()
        return Ended(self.repository, self.process.wait(), self.most, printed)


def kill(number: int) -> None:
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return
