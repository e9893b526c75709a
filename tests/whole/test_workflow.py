"""The GitHub workflow runs only what exists, may only read, and its report says what changed."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.whole.repositories import ROOT, Repository

pytestmark = pytest.mark.slow

GITHUB = ROOT / ".github"


def loaded(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path)
    return document


WORKFLOW = loaded(GITHUB / "workflows/ci.yml")
JOBS: dict[str, Any] = WORKFLOW["jobs"]
ENVIRONMENT = loaded(GITHUB / "actions/environment/action.yml")
STEPS = [
    *(step for job in JOBS.values() for step in job["steps"]),
    *ENVIRONMENT["runs"]["steps"],
]
COMMANDS = [line.strip() for step in STEPS for line in step.get("run", "").splitlines()]


def step(name: str) -> dict[str, Any]:
    """The one step of that name."""
    (found,) = [step for step in STEPS if step.get("name") == name]
    return found


def test_every_make_target_exists() -> None:
    targets = [
        target
        for command in COMMANDS
        if command.startswith("make ")
        for target in command.split()[1:]
    ]
    assert set(targets) == {"lint", "test", "verify", "lock", ".venv/.complete"}
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_every_action_is_one_of_github_s_own_at_a_version_or_this_repository_s() -> None:
    for action in (step["uses"] for step in STEPS if "uses" in step):
        if action.startswith("./"):
            assert (ROOT / action / "action.yml").is_file()
        else:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", action)


def test_the_trainings_are_tested_on_every_python_that_is_supported_on_both_architectures() -> None:
    matrix = JOBS["test"]["strategy"]["matrix"]
    assert matrix["machine"] == JOBS["verify"]["strategy"]["matrix"]["machine"]
    assert matrix["machine"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]
    (supported,) = re.findall(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    )
    assert matrix["python"] == [f"3.{minor}" for minor in range(*map(int, supported))]


def test_only_the_report_may_write_and_only_to_a_pull_request() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    others = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert others == {"report": {"contents": "read", "pull-requests": "write"}}
    assert not re.search(r"\$\{\{\s*secrets", (GITHUB / "workflows/ci.yml").read_text())


def test_every_job_ends_in_a_bounded_time_and_a_newer_push_ends_an_older_one_s() -> None:
    assert all(job["timeout-minutes"] <= 120 for job in JOBS.values())
    assert "github.ref" in WORKFLOW["concurrency"]["group"]


def test_the_night_runs_what_a_push_does_not() -> None:
    nightly = [name for name, job in JOBS.items() if "schedule'" in job["if"] and "||" in job["if"]]
    assert nightly == ["exhaustive", "newest"]
    assert "schedule" in WORKFLOW["on"]
    assert any(step.get("run") == "bash .ci/run" for step in JOBS["exhaustive"]["steps"])
    assert (ROOT / ".ci/run").is_file()


def test_a_gitlab_has_the_same_checks() -> None:
    gitlab = loaded(ROOT / ".gitlab-ci.yml")
    shared = ("lint", "test", "verify", "exhaustive")
    commands = {command for name in shared for command in JOBS[name]["steps"][-1].values()}
    assert {gitlab[name]["script"] for name in shared} == commands
    (matrix,) = gitlab["test"]["parallel"]["matrix"]
    assert matrix["PYTHON"] == JOBS["test"]["strategy"]["matrix"]["python"]


def test_what_dependabot_is_to_watch_is_there() -> None:
    watched = loaded(GITHUB / "dependabot.yml")["updates"]
    folders = {
        update["package-ecosystem"]: update.get("directories") or [update["directory"]]
        for update in watched
    }
    assert set(folders) == {"github-actions", "docker", "docker-compose", "pip"}
    for folder in (folder for all_ in folders.values() for folder in all_):
        assert (ROOT / folder.lstrip("/")).is_dir()
    for file in ("Dockerfile", "compose.yaml", "pyproject.toml"):
        assert (ROOT / file).is_file()


def test_the_report_shows_what_a_change_did_in_one_comment(
    repository: Repository, tmp_path: Path
) -> None:
    before = (repository.path / "params.yaml").read_text()
    repository.edit_params(lambda text: text.replace("epochs: 4", "epochs: 5"))
    summary, said = tmp_path / "summary.md", tmp_path / "said"
    # GitHub's client, as far as this machine has none of its servers.
    (tmp_path / "gh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {said}\n')
    (tmp_path / "gh").chmod(0o755)
    report = repository.path / "report.md"
    try:
        for script in (step("Write the report")["run"], step("Comment")["run"]):
            repository.run(
                *("bash", "-euo", "pipefail", "-c", script),
                BASE="HEAD",
                FIGURE="comparison.png",
                GITHUB_STEP_SUMMARY=os.fspath(summary),
                PULL_REQUEST="https://example.org/pull/7",
                PATH=f"{tmp_path}{os.pathsep}{repository.environment()['PATH']}",
            )
        written = report.read_text()
    finally:
        (repository.path / "params.yaml").write_text(before)
        report.unlink(missing_ok=True)
    assert summary.read_text() == written
    assert re.search(r"train_classifier\.epochs\s*\|\s*4\s*\|\s*5", written)
    assert "![Test images and their reconstructions](comparison.png)" in written
    command, kind, where, *options = said.read_text().splitlines()
    assert (command, kind, where) == ("pr", "comment", "https://example.org/pull/7")
    assert {"--edit-last", "--create-if-none", "--body-file", "report.md"} == {*options}
