"""`make doctor`: what is wrong comes first, with what mends it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.commands import doctor
from pipeline.reproduction import dvc_locks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, new_repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the committed files and data, in git; the working directory."""
    shutil.copytree(new_repository, tmp_path, dirs_exist_ok=True)
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "requirements.lock", "environment.json"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    for path in (ROOT / "data/raw").iterdir():
        (tmp_path / "data/raw" / path.name).symlink_to(path)
    for name in ("pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


Examined = Callable[[], tuple[int, list[str]]]


@pytest.fixture
def examined(project: Path, capsys: pytest.CaptureFixture[str]) -> Examined:
    """Examines `project`: the exit status, and the lines."""
    del project

    def examine() -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as ended:
            doctor.main()
        printed = capsys.readouterr()
        assert printed.err == ""
        return int(ended.value.code or 0), printed.out.splitlines()

    return examine


@pytest.mark.usefixtures("project")
def test_where_nothing_is_wrong_every_line_is_fine() -> None:
    command = [sys.executable, "-m", "pipeline", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, ""), lines
    subjects = [line.removeprefix("fine   ").split(": ")[0] for line in lines]
    expected = "machine instruction Python packages git DVC params.yaml results locks MLflow"
    assert set(expected.split()) <= {subject.split()[0] for subject in subjects}
    assert all(line.startswith("fine   ") for line in lines)


def test_what_is_wrong_comes_first_with_what_mends_it(project: Path, examined: Examined) -> None:
    shutil.rmtree(project / ".git")
    (project / "data/raw/mnist.pkl").unlink()
    (project / "requirements.lock").write_text("numpy==1.0.0 \\\n")
    (project / ".venv").unlink()
    code, lines = examined()
    assert code == 1
    expected = (
        "Python: ",
        "packages: not those of requirements.lock: numpy ",
        "git: found no git repository here, expected one; `git init` makes one",
        "data: data/raw/mnist.pkl: not found; `git checkout`, or `dvc pull`, brings it",
    )
    for line, start in zip(lines, expected, strict=False):
        assert line.startswith(f"WRONG  {start}")
        assert "; " in line
    assert all(line.startswith("fine") for line in lines[len(expected) :])


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        (
            "params.yaml",
            "seed: 42\n",
            "params: params.yaml: runtime: missing; every knob is set in",
        ),
        ("dvc.lock", "stages: {}\n", "results: "),
    ],
)
def test_a_file_that_is_wrong_is_named(
    project: Path, examined: Examined, file: str, content: str, line: str
) -> None:
    (project / file).write_text(content)
    code, lines = examined()
    assert code == 1
    assert any(found.startswith(f"WRONG  {line}") for found in lines)


def test_a_store_that_does_not_answer_is_named_without_its_password(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # 7 times, by default
    code, lines = examined()
    assert code == 1
    assert lines[0].startswith("WRONG  store: http://127.0.0.1:9: ")
    assert "unset MLFLOW_TRACKING_URI" in lines[0]
    assert not any("hidden" in line for line in lines)


def test_variables_are_listed_with_what_becomes_of_them(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": "hidden"}
    given = {"KERAS_MAX_EPOCHS": "3", "MPLBACKEND": "tk", "DVC_X": "y", **secret}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    _, lines = examined()
    assert "fine   variable: KERAS_MAX_EPOCHS=3: stages drop it: ends trainings early" in lines
    assert "fine   variable: MPLBACKEND=tk: stages set it to agg" in lines
    assert "fine   variable: DVC_X=y: kept" in lines
    assert "fine   variable: AWS_SECRET_ACCESS_KEY=...: kept" in lines


@pytest.mark.parametrize("number", ["nobody's", "another's"])
def test_who_holds_a_lock_is_named_and_nothing_is_changed(
    project: Path, examined: Examined, number: str
) -> None:
    dead = os.getpid() if number == "another's" else max(psutil.pids()) + 10_000
    held = {"write": {str(project / "data"): {"pid": dead, "cmd": "dvc repro"}}, "read": {}}
    record = project / dvc_locks.RECORD
    record.write_text(json.dumps(held))
    _, lines = examined()
    assert (
        f"fine   locks: held by `dvc repro` (process {dead}), which is dead: "
        "`make repro` releases it"
    ) in lines
    assert json.loads(record.read_text()) == held


def test_what_lets_others_in_to_a_remote_is_not_shown(project: Path, examined: Examined) -> None:
    (project / ".dvc/config.local").write_text(
        "['remote \"token\"']\n    url = ssh://me:hid/den@host/folder\n    passphrase = hidden\n"
        "['remote \"cloud\"']\n    url = s3://bucket/folder\n    region = eu-north-1\n"
        "    access_key_id = hidden\n    secret_access_key = hidden\n    session_token = hidden\n"
        "['remote \"azure\"']\n    url = azure://container\n"
        "    connection_string = AccountName=hidden;AccountKey=hidden==\n"
        "['remote \"web\"']\n    url = https://host/folder\n    user = me\n    password = hidden\n"
    )
    _, lines = examined()
    (line,) = [line for line in lines if line.startswith("fine   DVC: ")]
    assert "hid" not in line
    for shown in (
        "remote.token.url=ssh://host/folder remote.token.passphrase=...",
        "remote.cloud.url=s3://bucket/folder remote.cloud.region=eu-north-1",
        "remote.azure.connection_string=...",
        "remote.web.user=me remote.web.password=...",
    ):
        assert shown in line


def test_a_full_disk_is_named_with_what_destroys_nothing(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "SCARCE", 10**9)  # GiB: no disk has as much
    code, lines = examined()
    assert code == 1
    full = [line for line in lines if " GiB free in " in line]
    assert [line.split(": ")[0] for line in full] == ["WRONG  repository", "WRONG  temporary files"]
    assert "dvc cache dir" in full[0]
    assert "TMPDIR" in full[1]
    assert not any("dvc gc" in line for line in lines)
