"""`make ui`: what it says before MLflow's server takes over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("mlruns", "a folder, where MLflow keeps runs no more; expected a database or a server"),
        ("postgresql://me:hidden@127.0.0.1:1/runs", "Connection refused"),
    ],
)
def test_a_store_that_can_not_be_shown_is_told_in_one_line(store: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "ui"],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": store},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,  # it would be a server
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert "hidden" not in line
