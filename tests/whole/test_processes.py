"""`make repro` starts a bounded number of processes, whatever befalls those it starts."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.conftest import Repository

pytestmark = pytest.mark.slow

# Three servers; for each training DVC, the stage, its copy and its follower; and what git is asked.
MOST = 24
FAULTS = {
    "Jupyter's backend": 'MPLBACKEND=module://matplotlib_inline.backend_inline exec "$@"',
    "no standard input": 'exec "$@" <&-',
    "no standard streams": 'exec "$@" <&- >&- 2>&-',
    "a server of stages that dies": 'exec "$@"',
}


@pytest.mark.parametrize(
    "fault",
    [
        "Jupyter's backend",
        pytest.param("no standard input", marks=pytest.mark.exhaustive),
        pytest.param("no standard streams", marks=pytest.mark.exhaustive),
        "a server of stages that dies",
    ],
)
def test_repro_ends_well_with_few_processes(copy: Repository, tmp_path: Path, fault: str) -> None:
    copy.edit_params(lambda text: text.replace("hidden_units: 600", "hidden_units: 60"))
    mark = f"MARK={uuid.uuid4()}"
    command = (sys.executable, "-m", "pipeline", "repro")
    with (tmp_path / "printed").open("wb") as printed:
        repro = subprocess.Popen(
            ["sh", "-c", FAULTS[fault], "sh", *command],
            cwd=copy.path,
            env=copy.environment() | dict([mark.split("=")]),
            stdout=printed,
            stderr=printed,
        )
        most = 0
        while repro.poll() is None:
            ours = dict(marked(mark))
            most = max(most, len(ours))
            if most > MOST:
                end(ours)
            if "dies" in fault:
                end({pid: name for pid, name in ours.items() if "forkserver.server stages" in name})
    assert most <= MOST
    assert repro.returncode == 0, (tmp_path / "printed").read_text()
    assert "up to date" in copy.dvc("status")


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """The processes whose environment has `mark`, with their command lines."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(entry.name), command
        except OSError:
            continue  # it has just ended


def end(processes: dict[int, str]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
