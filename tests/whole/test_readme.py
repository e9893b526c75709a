"""The commands in README.md do what it says, in the order in which they stand."""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.whole.repositories import ROOT, Repository, copied

pytestmark = pytest.mark.slow

COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]

# Tested in modules of their own.
ELSEWHERE = ("make test", "make ui", "make serve", "make sweep", "make verify")


@pytest.fixture(scope="module")
def clone(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository that goes through the README from command to command."""
    return copied(repository, tmp_path_factory.mktemp("readme") / "clone")


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if command not in ELSEWHERE],
)
def test_a_command_of_the_readme_works(clone: Repository, command: str) -> None:
    printed = clone.run(*shlex.split(command))
    if command == "make repro":
        assert "epochs_to_target" in printed


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        ("make test", "-m pytest"),
        ("make serve", "-m pipeline serve"),
        ("make sweep", "-m pipeline sweep"),
        ("make verify", "-m pipeline verify"),
    ],
)
def test_a_command_that_has_tests_of_its_own_is_the_one_that_they_run(
    repository: Repository, command: str, runs: str
) -> None:
    assert command in COMMANDS
    assert runs in repository.run("make", "--dry-run", command.removeprefix("make "))


def test_make_ui_serves_the_ui_on_this_machine_alone(repository: Repository) -> None:
    assert "make ui" in COMMANDS
    server = subprocess.Popen(
        ["make", "ui"],
        cwd=repository.path,
        env=repository.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert "<title>MLflow</title>" in answer("http://127.0.0.1:5000", seconds=60)
        assert listening(5000) == {"127.0.0.1"}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def answer(url: str, seconds: float) -> str:
    """What `url` answers, once it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def listening(port: int) -> set[str]:
    """The IPv4 addresses at which some process listens on `port`, from Linux's own table."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = [row[1].split(":") for row in rows if row[3] == "0A"]  # 0A: listening
    return {
        socket.inet_ntoa(bytes.fromhex(address)[::-1])
        for address, number in sockets
        if int(number, 16) == port
    }
