"""Any DAG of dvc.yaml: its stages run side by side, each after those that it depends on."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pipeline.errors import StageFailed
from pipeline.outs import machine
from pipeline.reproduction import scheduler

Log = list[tuple[str, str]]
Project = Callable[..., Path]

DIAMOND = """\
stages:
  first:
    cmd: ${run} first
    outs: [first]
  left:
    cmd: ${run} left first
    deps: [first]
    outs: [left]
  right:
    cmd: ${run} right first
    deps: [first]
    outs: [right]
  last:
    cmd: ${run} last left right
    deps: [left, right]
    outs: [last]
"""
LOOP = """\
stages:
  part:
    foreach: [a, b, c]
    do:
      cmd: ${run} ${item}
      outs: ["parts/${item}"]
  whole:
    cmd: ${run} whole
    deps: [parts]
    outs: [whole]
"""
# Writes down when it starts and ends; reads what it depends on; makes its out. One of those that
# `together` names waits until they all have started.
PROGRAM = """\
import sys, time
from pathlib import Path
name, *needed = sys.argv[1:]
def say(what):
    with Path("log").open("a") as log:
        log.write(f"{what} {name}\\n")
say("start")
for need in needed:
    Path(need).exists() or sys.exit(f"no {need}")
together = Path("together").read_text().split()
deadline = time.monotonic() + 60
def started():
    return {line for line in Path("log").read_text().splitlines()}
while name in together and not {f"start {one}" for one in together} <= started():
    time.monotonic() < deadline or sys.exit("waited in vain")
    time.sleep(0.05)
if Path(f"break-{name}").exists():
    sys.exit(f"{name} is broken")
out = Path("parts", name) if len(name) == 1 else Path(name)
out.parent.mkdir(exist_ok=True)
out.write_text(name)
say("end")
"""


TWO_CORES = machine.cores() > 1
two_cores = pytest.mark.skipif(not TWO_CORES, reason="needs two cores")


@pytest.fixture
def project(
    tmp_path: Path, new_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """Makes a DVC repository of a dvc.yaml, and works there."""
    cores = os.sched_getaffinity(0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def make(dvc_yaml: str, *together: str) -> Path:
        monkeypatch.chdir(tmp_path)
        Path("together").write_text(" ".join(together))
        Path("step.py").write_text(PROGRAM)
        Path("dvc.yaml").write_text(dvc_yaml.replace("${run}", f"{sys.executable} step.py"))
        shutil.copytree(new_repository, tmp_path, dirs_exist_ok=True)
        return tmp_path

    yield make
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def diamond(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Project], Path]:
    """Makes a repository in which DIAMOND has run: it runs once, and is copied."""
    kept = tmp_path_factory.mktemp("diamond") / "run"

    def make(project: Project) -> Path:
        path = project(DIAMOND, *(("left", "right") if TWO_CORES else ()))
        if kept.exists():
            shutil.copytree(kept, path, dirs_exist_ok=True)
        else:
            scheduler.run(scheduler.plan())
            shutil.copytree(path, kept)
        return path

    return make


def log(path: Path) -> Log:
    """What started and ended, in order."""
    lines = (path / "log").read_text().splitlines()
    return [(what, name) for what, name in (line.split() for line in lines)]


def at_once(log: Log) -> int:
    """The most that ran at a time."""
    running = most = 0
    for what, _ in log:
        running += 1 if what == "start" else -1
        most = max(most, running)
    return most


def changed() -> dict[str, Any]:
    """What `dvc status` says here, by DVC in this process."""
    with Repo() as opened:
        status: dict[str, Any] = opened.status()
    return status


def test_the_plan_is_that_of_dvc_in_the_order_of_the_file(project: Project) -> None:
    project(DIAMOND)
    assert list(scheduler.plan().items()) == [
        ("first", set()),
        ("left", {"first"}),
        ("right", {"first"}),
        ("last", {"left", "right"}),
    ]


def test_a_dep_on_a_folder_is_one_on_all_that_write_into_it(project: Project) -> None:
    project(LOOP)
    parts = [f"part@{name}" for name in "abc"]
    assert scheduler.plan() == {part: set() for part in parts} | {"whole": set(parts)}


@two_cores
def test_stages_run_side_by_side_after_those_they_depend_on(
    project: Project, diamond: Callable[[Project], Path]
) -> None:
    events = log(diamond(project))
    assert len(events) == 8
    assert events[:2] == [("start", "first"), ("end", "first")]
    assert {what for what, _ in events[2:4]} == {"start"}
    assert events[-2:] == [("start", "last"), ("end", "last")]
    assert changed() == {}


@two_cores
@pytest.mark.parametrize("cores", [1, 2])
def test_as_many_run_as_there_are_cores_in_the_order_of_the_file(
    project: Project, cores: int
) -> None:
    first = [*"ab"][:cores]
    path = project(LOOP, *first)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    scheduler.run(scheduler.plan())
    events = log(path)
    assert at_once(events) == cores
    started = [name for what, name in events if what == "start"]
    assert sorted(started[:cores]) == first
    assert started[-1] == "whole"
    assert changed() == {}


def test_after_a_failure_no_other_is_started_and_it_is_named(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    path = project(DIAMOND)
    (path / "break-right").touch()
    with pytest.raises(StageFailed, match=r"^right failed; the reason is above$"):
        scheduler.run(scheduler.plan())
    assert "last" not in {name for _, name in log(path)}
    assert re.search(r"^right \| right is broken$", capfd.readouterr().out, re.MULTILINE)


def test_only_what_is_out_of_date_and_what_depends_on_it_is_planned(
    project: Project, diamond: Callable[[Project], Path]
) -> None:
    path = diamond(project)
    assert scheduler.plan() == {}
    text = (path / "dvc.yaml").read_text()
    (path / "dvc.yaml").write_text(text.replace("step.py left first", "./step.py left first"))
    assert scheduler.plan() == {"left": set(), "last": {"left"}}


def test_what_dvc_has_the_result_of_does_not_run_again(
    project: Project, diamond: Callable[[Project], Path]
) -> None:
    path = diamond(project)
    (path / "log").unlink()
    (path / "left").unlink()  # DVC brings it back from its run cache
    scheduler.run(scheduler.plan())
    assert not (path / "log").exists()
    assert (path / "left").read_text() == "left"


def test_what_dvc_refuses_ends_in_its_own_message(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project(DIAMOND.replace("deps: [first]", "deps: [last]", 1))
    with pytest.raises(StageFailed, match="DVC can't say what is out of date"):
        scheduler.plan()
    assert capfd.readouterr().err.startswith("ERROR: ")
