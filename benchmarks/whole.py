"""The whole pipeline in a clean clone, beside Keras scripts run one after another."""

import itertools
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import processes, tiles
from benchmarks.peers.session import KNOWN
from benchmarks.sizes import Sizes
from benchmarks.spread import ratios, spread
from benchmarks.workspace import change_params, remove, workspace
from pipeline import stage_files
from pipeline.errors import StageFailed
from pipeline.outs import dvc_lock, paths
from pipeline.params import PARAMS, load_params

REPRO = ("-m", "pipeline", "repro")
NOTHING_TO_DO = {
    "make repro, nothing to do": REPRO,
    "dvc repro, nothing to do": ("-m", "dvc", "repro"),
    "dvc status, nothing to do": ("-m", "dvc", "status"),
}
CACHED = (paths.PREPARED, Path("data/models"))
COLD, CHECKOUT = "make repro, cold", "dvc checkout, outs deleted"
SCRIPTS = {"plain Keras scripts": "plain_keras", "tuned Keras scripts": "tuned_keras"}
Runs = dict[str, list[processes.Finished]]


def measure(sizes: Sizes) -> dict[str, Any]:
    """Seconds, core-seconds and memory of each command, and the share of the scripts' time."""
    runs: Runs = defaultdict(list)
    changed = bool(sizes.images or sizes.full_epochs)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = Path(folder)
        tiles.make(sizes.images, data)
        for _ in range(sizes.whole_repetitions):
            with workspace() as root:
                if changed:
                    change_params(root, images=data, epochs=sizes.full_epochs)
                _keep(runs, COLD, _cold(root))
                for _ in range(sizes.repetitions):
                    for name, command in NOTHING_TO_DO.items():
                        _keep(runs, name, _python(root, *command))
                    for path in CACHED:
                        remove(root / path)
                    _keep(runs, CHECKOUT, _python(root, "-m", "dvc", "checkout", "--quiet"))
            for (name, peer), model in itertools.product(SCRIPTS.items(), KNOWN):
                done = _script(peer, model, sizes.full_epochs, data)
                _keep(runs, f"{name}: {model}", done)
    elsewhere = max(run.elsewhere for done in runs.values() for run in done)
    together = {name: _together(runs, name) for name in SCRIPTS}
    commands = {
        name: {
            "seconds": spread([run.seconds for run in done]),
            "core_seconds": spread([run.core_seconds for run in done]),
            "peak_mib": max(run.peak_mib for run in done),
        }
        for name, done in (runs | together).items()
    }
    return {
        "commands": commands,
        "shares": {
            name: ratios([run.seconds for run in runs[COLD]], [run.seconds for run in done])
            for name, done in together.items()
        },
        "elsewhere": elsewhere,
    }


def _cold(root: Path) -> processes.Finished:
    """Run everything: no cache, no outs, no lock file.

    Raises:
        StageFailed: a stage did not run.
    """
    for stage in dvc_lock.names(root):
        for out in dvc_lock.locked(stage, root).outs:
            remove(root / out)
    remove(root / paths.LOCK)
    done = _python(root, *REPRO)
    if idle := [
        name for name in stage_files.names() if f"Running stage '{name}'" not in done.output
    ]:
        raise StageFailed(f"cold run: {', '.join(idle)} did not run, expected every stage to")
    return done


def _script(peer: str, model: str, epochs: int | None, data: Path) -> processes.Finished:
    """A script of `benchmarks.peers`, with the activity's epochs."""
    section = load_params(PARAMS).section(f"train_{model}")
    return processes.run(
        *(sys.executable, "-m", f"benchmarks.peers.{peer}", model),
        *("--data", data, "--epochs", str(epochs or section.epochs)),
    )


def _together(runs: Runs, name: str) -> list[processes.Finished]:
    """The three scripts of each repetition as one."""
    scripts = zip(*(runs[f"{name}: {model}"] for model in KNOWN), strict=True)
    return [
        processes.Finished(
            output="",
            seconds=sum(run.seconds for run in three),
            core_seconds=sum(run.core_seconds for run in three),
            peak_mib=max(run.peak_mib for run in three),
            elsewhere=max(run.elsewhere for run in three),
        )
        for three in scripts
    ]


def _python(root: Path, *arguments: str) -> processes.Finished:
    """Run this interpreter in the clone as a user would, with the environment activated."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return processes.run(sys.executable, *arguments, folder=root, settings={"PATH": path})


def _keep(runs: Runs, name: str, done: processes.Finished) -> None:
    runs[name].append(done)
    print(f"{name}: {done.seconds:.2f} s, {done.core_seconds:.2f} core-seconds", flush=True)
