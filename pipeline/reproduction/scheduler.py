"""Stages side by side: `dvc repro` runs one at a time."""

import json
import re
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from pipeline.errors import StageFailed
from pipeline.outs import machine
from pipeline.tracking.live import UNTRACKED

# DVC's advice, in place of which `make repro` says what to do.
ADVICE = (
    "Generating lock file",
    "Updating lock file",
    "To track the changes",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config",
    "Use `dvc push`",
)
EDGE = re.compile(r'"(.+)" -> "(.+)";')
NODE = re.compile(r'"([^"]+)";')
Needs = dict[str, set[str]]  # stages, each with those that it depends on


def plan() -> Needs:
    """The stages that are out of date or depend on such, each with those of them that it needs.

    They are in the order of dvc.yaml. DVC knows them: the file may have loops, folders, variables.

    Raises:
        StageFailed: DVC can't read its files; it has said why.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Side by side: DVC takes a second to start.
    asked = _dvc("status", "--json", **pipes), _dvc("dag", "--dot", **pipes)
    (found, _), (drawn, _) = answers = [process.communicate() for process in asked]
    for process, (_, complaint) in zip(asked, answers, strict=True):
        if process.returncode:
            sys.stderr.write(complaint.decode(errors="replace"))
            raise StageFailed("DVC can't say what is out of date; its message is above")
    return _stale(_graph(drawn.decode()), json.loads(found))


def _stale(needs: Needs, changed: Collection[str]) -> Needs:
    stale = needs.keys() & changed
    while more := {name for name, needed in needs.items() if needed & stale} - stale:
        stale |= more
    return {name: needed & stale for name, needed in needs.items() if name in stale}


def _graph(drawn: str) -> Needs:
    lines = drawn.splitlines()
    needs: Needs = {node[1]: set() for node in map(NODE.fullmatch, lines) if node}
    for edge in map(EDGE.fullmatch, lines):
        if edge:
            needs[edge[2]].add(edge[1])
    return needs


def run(needs: Needs) -> list[str]:
    """Run the stages of `needs`, as many stages at once as there are cores.

    A stage starts when all that it depends on have ended; of several, the first in dvc.yaml. What
    nothing can run beside is left to a plain `dvc repro`, which confirms, and heals, the whole.

    Raises:
        StageFailed: a stage ended with an error, which it has reported; no other is started then.

    Returns:
        What was said of stages that MLflow missed, in the order of dvc.yaml.
    """
    waiting, running = dict(needs), dict[Future[_Child], str]()
    ended: list[_Child] = []
    width, cores = max(map(len, needs)), machine.cores()
    with ThreadPoolExecutor(cores) as pool:
        while True:
            failed = any(child.process.returncode for child in ended)
            while not failed and len(running) < cores and (running or len(waiting) > 1):
                pending = {*waiting, *running.values()}
                ready = [name for name, needed in waiting.items() if not needed & pending]
                if not ready:
                    break
                name = ready[0]
                del waiting[name]
                running[pool.submit(_repro, name, width, "--single-item", name)] = name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                ended.append(future.result())
    if not failed:
        ended.append(_repro(next(iter(waiting), "dvc"), width))
    if names := [child.name for child in ended if child.process.returncode]:
        raise StageFailed(f"{', '.join(names)} failed; the reason is above")
    untracked = [line for child in ended for line in child.untracked]
    order = [*needs]
    return sorted(untracked, key=lambda line: order.index(line.split(maxsplit=1)[0]))


@dataclass(frozen=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    untracked: list[str] = field(default_factory=list)

    def relay(self, width: int) -> None:
        """Print each line that says something, with who said it; keep back what MLflow missed."""
        for read in self.process.stdout or ():
            line = read.decode(errors="replace")
            if line.startswith(UNTRACKED):
                self.untracked.append(line.removeprefix(UNTRACKED).strip())
            elif line.strip() and not line.startswith(ADVICE):
                print(f"{self.name:<{width}} | {line}", end="", flush=True)


def _repro(name: str, width: int, *arguments: str) -> _Child:
    """Run `dvc repro` to its end, and say whose lines are whose."""
    process = _dvc(*("repro", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    child = _Child(name, process)
    child.relay(width)
    process.wait()
    return child


def _dvc(*arguments: str, **streams: int) -> subprocess.Popen[bytes]:
    # DVC holds its lock only while it reads and writes its own files, not while a command runs.
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    return subprocess.Popen(command, **streams)  # type: ignore[call-overload]
