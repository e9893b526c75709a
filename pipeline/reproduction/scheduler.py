"""Stages side by side: `dvc repro` runs one at a time."""

import os
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from pipeline import processes
from pipeline.errors import StageFailed
from pipeline.processes import Process
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


def graph() -> dict[str, set[str]]:
    """Each stage of dvc.yaml, in its order, with those that it depends on.

    DVC knows it: dvc.yaml may have loops, folders and variables.

    Raises:
        StageFailed: DVC can't read dvc.yaml; it has said why.
    """
    done = processes.start("dvc", "dag", "--dot", stdout=subprocess.PIPE)
    assert done.stdout is not None  # noqa: S101 - it is a pipe
    lines = done.stdout.read().decode().splitlines()
    if done.wait():
        raise StageFailed("`dvc dag` failed; its message is above")
    needs: dict[str, set[str]] = {node[1]: set() for node in map(NODE.fullmatch, lines) if node}
    for edge in map(EDGE.fullmatch, lines):
        if edge:
            needs[edge[2]].add(edge[1])
    return needs


def run(needs: Mapping[str, set[str]]) -> list[str]:
    """Run what is out of date, as many stages at once as there are cores.

    A stage starts when all that it depends on have ended. Of those that can start, the last in
    dvc.yaml is the first: list the longest last. What nothing can run beside is left to a plain
    `dvc repro`, which confirms, and heals, the whole.

    Raises:
        StageFailed: a stage ended with an error, which it has reported; no other is started then.

    Returns:
        What was said of stages that MLflow missed.
    """
    waiting, running = dict(needs), dict[Future[_Child], str]()
    ended: list[_Child] = []
    width, cores = max(map(len, needs)), len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        while True:
            failed = any(child.process.returncode for child in ended)
            while not failed and len(running) < cores and (running or len(waiting) > 1):
                pending = {*waiting, *running.values()}
                ready = [name for name, needed in waiting.items() if not needed & pending]
                if not ready:
                    break
                name = ready[-1]
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
    return [line for child in ended for line in child.untracked]


@dataclass(frozen=True)
class _Child:
    name: str
    process: Process
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
    # DVC holds its lock only while it reads and writes its own files, not while a command runs.
    process = processes.start(
        *("dvc", "--wait-for-lock", "repro", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    child = _Child(name, process)
    child.relay(width)
    process.wait()
    return child
