"""What dead processes hold is released, and what living ones hold is not."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.reproduction import dvc_locks

PIPELINE = "stages:\n  wait: {cmd: 'echo waiting; exec sleep 60', outs: [out]}\n"


@pytest.fixture
def busy(tmp_path: Path, new_repository: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A folder in which a DVC runs a stage that does not end."""
    dvc = (sys.executable, "-m", "dvc")
    shutil.copytree(new_repository, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    process = subprocess.Popen([*dvc, "repro"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout
    while b"waiting" not in process.stdout.readline():
        assert process.poll() is None
    yield tmp_path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_living_dvc_holds_stays(busy: tuple[Path, subprocess.Popen[bytes]]) -> None:
    root, process = busy
    before = (root / dvc_locks.RECORD).read_text()
    assert str(process.pid) in before
    assert dvc_locks.release_dead(root) is None
    assert (root / dvc_locks.RECORD).read_text() == before


def test_a_living_dvc_is_waited_for_with_one_line(
    busy: tuple[Path, subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    root, process = busy
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(dvc_locks.wait_for_living, root)
        time.sleep(3 * dvc_locks.LOOK)
        assert not waiting.done()
        process.kill()
        process.wait()
        waiting.result(timeout=30)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(
        f" repro` (process {process.pid}) is at work here; waiting for it to end ..."
    )


def test_nobody_is_waited_for_where_nobody_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc_locks.wait_for_living(tmp_path)
    assert capsys.readouterr().out == ""


def test_what_a_killed_dvc_held_is_released_though_another_process_has_its_number(
    busy: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    root, process = busy
    process.kill()
    process.wait()
    record = root / dvc_locks.RECORD
    # This process takes the number's place: it started before, but is no DVC.
    record.write_text(record.read_text().replace(str(process.pid), str(os.getpid())))
    refused = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is busy, it is being blocked by" in refused.stderr
    assert "held by a DVC that has died" in (dvc_locks.release_dead(root) or "")
    kept = json.loads(record.read_text())
    assert not any(kept["write"].values())
    assert not any(kept["read"].values())


def test_a_dvc_that_started_after_the_record_was_written_is_another(
    busy: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    root, _ = busy
    record = root / dvc_locks.RECORD
    day_before = time.time() - 86_400
    os.utime(record, (day_before, day_before))
    assert "held by a DVC that has died" in (dvc_locks.release_dead(root) or "")


@pytest.mark.parametrize("content", ["{}", '{"write": {}, "read": {"/a": []}}'])
def test_a_record_that_nobody_is_in_stays(tmp_path: Path, content: str) -> None:
    record = tmp_path / dvc_locks.RECORD
    record.parent.mkdir(parents=True)
    record.write_text(content)  # as DVC leaves it
    assert dvc_locks.release_dead(tmp_path) is None


@pytest.mark.parametrize("content", ["", '{"write": {"/a', "[1]", '{"write": {"a": 1}}'])
def test_a_record_that_is_none_is_removed(tmp_path: Path, content: str) -> None:
    record = tmp_path / dvc_locks.RECORD
    record.parent.mkdir(parents=True)
    record.write_text(content)
    assert "cut short" in (dvc_locks.release_dead(tmp_path) or "")
    assert not record.exists()
    assert dvc_locks.release_dead(tmp_path) is None


def test_a_second_repro_waits_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def enter() -> None:
        with dvc_locks.alone(tmp_path):
            pass

    with ThreadPoolExecutor(1) as pool:
        with dvc_locks.alone(tmp_path):
            second = pool.submit(enter)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
        second.result(timeout=10)
    assert "waiting for it" in capsys.readouterr().out
