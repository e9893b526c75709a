"""Commands that serve, for as long as a test needs them."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def serving(
    command: list[str], cwd: Path, environment: Mapping[str, str], health: str, log: Path
) -> Iterator[None]:
    """Run `command` until the block ends; wait before it until the URL `health` answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a process group: what the command starts ends with it
        )
    try:
        deadline = time.monotonic() + 180  # what a test may hang for, and no promise
        while not answers(health):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def post(url: str, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
    """The status and the JSON that `url` answers, or its text; bytes are sent as they are."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, sent, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else text


def answers(url: str) -> bool:
    """Whether `url` answers well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
