"""The stages run from a clean clone by their own commands: no DVC, no cache, no earlier outs."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.errors import RepositoryError, StageFailed
from pipeline.outs import dvc_lock
from pipeline.outs.dvc_lock import StageState


def clone(target: Path) -> Path:
    """Clone HEAD of the repository around the current folder to `target`.

    Returns:
        What is the current folder here, there: `target`, or a folder of it.

    Raises:
        RepositoryError: this is in no git repository, or HEAD has no such folder.
    """
    top, prefix = (_git("rev-parse", f"--show-{what}") for what in ("toplevel", "prefix"))
    _git("clone", "--quiet", "--no-hardlinks", top, str(target))
    if not (target / prefix).is_dir():
        raise RepositoryError(f"git: found no {prefix} in the last commit, expected this folder")
    return target / prefix


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RepositoryError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def rebuild(root: Path, states: dict[str, StageState], only: str | None) -> None:
    """Run the stages in the clone at `root`, or `only` one and what it depends on.

    Stages that depend on none that is still to run are run side by side.

    Raises:
        StageFailed: a stage ended with an error; what it printed is in the message.
    """
    needs = dvc_lock.needs(states)
    to_run = _closure(only, needs) if only else set(states)
    for name in to_run:
        for path in states[name].outs:
            _remove(root / path)
    while to_run:
        ready = [name for name in to_run if not needs[name] & to_run]
        with ThreadPoolExecutor(len(ready)) as pool:
            for _ in pool.map(lambda name: _run(root, states[name]), ready):
                pass  # an exception in a thread comes out here
        to_run -= set(ready)


def _closure(name: str, needs: dict[str, set[str]]) -> set[str]:
    return {name}.union(*(_closure(need, needs) for need in needs[name]))


def _run(root: Path, state: StageState) -> None:
    print(f"rebuilding {state.name} ...", flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        ["/bin/sh", "-c", state.cmd],
        cwd=root,
        env=os.environ | {"PATH": path, "PIPELINE_TRACKING": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StageFailed(f"{state.name} can't be rebuilt:\n{done.stdout.strip()}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
