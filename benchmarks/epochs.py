"""An epoch of each training, by this pipeline and by its peers, side by side."""

import itertools
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes, tiles
from benchmarks.peers.session import KNOWN
from benchmarks.sizes import Sizes
from benchmarks.spread import ratios, spread
from pipeline.outs import machine
from pipeline.training.declaration import models

OURS = "this_pipeline"
PEERS = {OURS: "keras", "plain_keras": "keras", "torch_loop": "torch", "jax_scan": "jax"}
OTHERS_PYTHON = ("torch", "jax")  # may be installed apart from this pipeline's packages


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        peer: a module of `benchmarks.peers`.
        cores: the process may use so many.
        held_out: measure on images held out after each epoch, too.
    """

    peer: str
    cores: int
    held_out: bool = False


REFERENCE = Variant(OURS, cores=1)
Runs = dict[tuple[str, Variant], list[dict[str, Any]]]


def measure(sizes: Sizes, peers_python: str, one_core_gflops: float) -> dict[str, Any]:
    """Seconds and core-seconds of an epoch, losses, and shares of the peak, by model."""
    variants = _variants(peers_python)
    runs: Runs = defaultdict(list)
    elsewhere = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tiles.make(sizes.images, Path(folder))
        # Repetitions outermost: what slows the machine for a while slows all, and ratios are
        # taken within one repetition.
        for repetition, model in itertools.product(range(sizes.repetitions), models()):
            for variant in variants:
                if variant.peer != OURS and model not in KNOWN:
                    continue
                done = _run(variant, model, sizes.epochs_of(model) + 1, Path(folder), peers_python)
                runs[model, variant].append(done.figures)
                elsewhere = max(elsewhere, done.elsewhere)
                _tell(repetition, model, variant, done)
        images = (Path(folder) / "labels.idx").stat().st_size - 8
    return {
        "images": images,
        "repetitions": sizes.repetitions,
        "tolerance": sizes.tolerance,
        "elsewhere": elsewhere,
        "models": {
            model: {"epochs": sizes.epochs_of(model)}
            | _judged(
                {variant: runs[model, variant] for variant in variants if runs[model, variant]},
                images=images,
                gflops=one_core_gflops,
                tolerance=sizes.tolerance,
            )
            for model in models()
        },
    }


def _variants(peers_python: str) -> list[Variant]:
    """Each peer that is installed, on one core and on all; this pipeline's one thread on one."""
    variants = [REFERENCE, Variant(OURS, cores=1, held_out=True)]
    for peer, package in PEERS.items():
        if peer == OURS:
            continue
        python = _python(peer, peers_python)
        check = f"import importlib.util as u, sys; sys.exit(not u.find_spec({package!r}))"
        if subprocess.run([python, "-c", check], check=False).returncode:
            print(f"{peer} is left out: {package} is not installed")
            continue
        variants += [Variant(peer, cores) for cores in sorted({1, machine.cores()})]
    return variants


def _python(peer: str, peers_python: str) -> str:
    return peers_python if PEERS[peer] in OTHERS_PYTHON else sys.executable


def _run(
    variant: Variant, model: str, epochs: int, data: Path, peers_python: str
) -> processes.Finished:
    return processes.run(
        *(_python(variant.peer, peers_python), "-m", f"benchmarks.peers.{variant.peer}", model),
        *("--data", data, "--epochs", str(epochs)),
        *(["--held-out"] if variant.held_out else []),
        cores=variant.cores,
    )


def _tell(repetition: int, model: str, variant: Variant, done: processes.Finished) -> None:
    figures = done.figures
    held_out = ", held out too" if variant.held_out else ""
    print(
        f"{repetition + 1}: {model} by {variant.peer} ({variant.cores} core(s){held_out}): "
        f"{figures['seconds']:.3f} s, {figures['core_seconds']:.3f} core-seconds an epoch, "
        f"loss {figures['losses'][-1]:.4f}",
        flush=True,
    )


def _judged(
    runs: dict[Variant, list[dict[str, Any]]], *, images: int, gflops: float, tolerance: float
) -> dict[str, Any]:
    """The figures of each variant of one model, beside those of `REFERENCE`."""
    ours = runs[REFERENCE]
    multiply_adds = ours[0]["multiply_adds"] * images
    loss = median(run["losses"][-1] for run in ours)
    rows = []
    for variant, theirs in runs.items():
        core_seconds = [run["core_seconds"] for run in theirs]
        their_loss = median(run["losses"][-1] for run in theirs)
        rows.append(
            {
                "peer": variant.peer,
                "library": theirs[0]["library"],
                "cores": variant.cores,
                "held_out": variant.held_out,
                "parameters": theirs[0]["parameters"],
                "seconds": spread([run["seconds"] for run in theirs]),
                "core_seconds": spread(core_seconds),
                "core_seconds_ratio": ratios(core_seconds, [run["core_seconds"] for run in ours]),
                "share_of_peak": 2 * multiply_adds / median(core_seconds) / (gflops * 1e9),
                "loss": their_loss,
                "loss_agrees": abs(their_loss / loss - 1) <= tolerance
                and theirs[0]["parameters"] == ours[0]["parameters"],
            }
        )
    return {"multiply_adds_per_epoch": multiply_adds, "variants": rows}
