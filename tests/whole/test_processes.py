"""`make repro` has few processes, and none of them waits for another that has died."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.conftest import Repository

pytestmark = pytest.mark.slow

MOST = 11  # `make repro`; for each of two trainings DVC, the stage, its follower; what git is asked
PATIENCE = 120  # seconds after which a process counts as hanging
WAYS = {
    "Jupyter's backend": 'MPLBACKEND=module://matplotlib_inline.backend_inline exec "$@"',
    "no standard input": 'exec "$@" <&-',
    "no standard streams": 'exec "$@" <&- >&- 2>&-',
}
KINDS = {
    "make repro": r"-m pipeline repro",
    "DVC": r"-m dvc .*repro --single-item train_conv_ae",
    "a stage": r" stages train_conv_ae",
    "a follower": r"-m pipeline.tracking.follow train_conv_ae",
}


class Repro:
    """A `make repro` under way, in a copy whose trainings are out of date."""

    def __init__(self, copy: Repository, way: str, printed: Path) -> None:
        copy.edit_params(lambda text: text.replace("seed: 42", "seed: 43"))
        self.printed = printed
        self.mark = f"MARK={uuid.uuid4()}"
        with printed.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", way, "sh", sys.executable, "-m", "pipeline", "repro"],
                cwd=copy.path,
                env=copy.environment() | dict([self.mark.split("=")]),
                stdout=output,
                stderr=output,
            )

    def processes(self) -> dict[int, str]:
        """It and what it has started, as far as that is not over, with their command lines."""
        return dict(self._marked())

    def _marked(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    yield int(entry.name), command
            except OSError:
                continue  # it has just ended

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for `true()`; end all there is if it takes too long, or there are too many."""
        deadline = time.monotonic() + PATIENCE
        most = 0
        while not true() and most <= MOST and time.monotonic() < deadline:
            most = max(most, len(self.processes()))
            time.sleep(0.02)
        hang = not true()
        if most > MOST or hang:
            left = self.processes()
            for number in left:
                kill(number)
            pytest.fail(f"{most} processes; left: {left}; {self.printed.read_text()}")


def kill(number: int) -> None:
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize(
    "way",
    [
        "Jupyter's backend",
        pytest.param("no standard input", marks=pytest.mark.exhaustive),
        pytest.param("no standard streams", marks=pytest.mark.exhaustive),
    ],
)
def test_repro_ends_well_with_few_processes(copy: Repository, tmp_path: Path, way: str) -> None:
    repro = Repro(copy, WAYS[way], tmp_path / "printed")
    repro.until(lambda: repro.process.poll() is not None)
    assert repro.process.returncode == 0, repro.printed.read_text()
    assert "up to date" in copy.dvc("status")


@pytest.mark.exhaustive
@pytest.mark.parametrize("seconds", [0, 1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_process_is_killed_all_end_and_the_next_run_goes_on(
    copy: Repository, tmp_path: Path, kind: str, seconds: float
) -> None:
    repro = Repro(copy, 'exec "$@"', tmp_path / "printed")

    def found() -> list[int]:
        return [
            number
            for number, command in repro.processes().items()
            if re.search(KINDS[kind], command)
        ]

    repro.until(lambda: bool(found()) or repro.process.poll() is not None)
    time.sleep(seconds)
    for number in found():
        kill(number)
    repro.until(lambda: repro.process.poll() is not None)
    # One that goes on by itself, a stage whose DVC was killed, is waited for.
    printed = copy.python("-m", "pipeline", "repro")
    assert "up to date" in copy.dvc("status"), printed
    repro.until(lambda: not repro.processes())
