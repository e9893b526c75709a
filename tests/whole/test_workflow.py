"""The GitHub workflow runs only what exists, and its report says what changed."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.whole.conftest import ROOT, Repository

pytestmark = pytest.mark.slow

WORKFLOW: dict[str, Any] = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
COMMANDS = [line.strip() for step in STEPS for line in step.get("run", "").splitlines()]


def test_every_make_target_exists() -> None:
    targets = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert {"lint", "test", "verify", "report", ".venv/.complete"} == set(targets)
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_every_action_is_one_of_github_s_own_at_a_version() -> None:
    for step in STEPS:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))


def test_the_report_shows_what_a_change_did(repository: Repository, tmp_path: Path) -> None:
    (script,) = [step["run"] for step in STEPS if "report.md" in step.get("run", "")]
    before = (repository.path / "params.yaml").read_text()
    repository.edit_params(lambda text: text.replace("epochs: 4", "epochs: 5"))
    summary = tmp_path / "summary.md"
    try:
        repository.run(
            *("bash", "-euo", "pipefail", "-c", script),
            BASE="HEAD",
            FIGURE="comparison.png",
            GITHUB_STEP_SUMMARY=os.fspath(summary),
        )
    finally:
        (repository.path / "params.yaml").write_text(before)
        (repository.path / "report.md").unlink(missing_ok=True)
    report = summary.read_text()
    assert re.search(r"train_classifier\.epochs\s*\|\s*4\s*\|\s*5", report)
    assert "![Test images and their reconstructions](comparison.png)" in report
