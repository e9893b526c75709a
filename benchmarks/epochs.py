"""An epoch of each training, by this pipeline and by its peers, side by side."""

import itertools
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes, tiles
from benchmarks.peers.session import KNOWN
from benchmarks.sizes import Sizes
from benchmarks.spread import ratios, spread
from benchmarks.variants import NATIVE, OURS, SHIPPED, Variant, chosen, python
from pipeline.training.declaration import models

Runs = dict[tuple[str, Variant], list[dict[str, Any]]]


def measure(sizes: Sizes, peers_python: str, one_core_gflops: float) -> dict[str, Any]:
    """Seconds, core-seconds and loss of an epoch, and this pipeline's share of the peak, by model.

    Args:
        sizes: how much is measured.
        peers_python: the interpreter that has PyTorch and JAX.
        one_core_gflops: the peak of one core under this pipeline's cap, 1e9 operations a second.
    """
    variants = chosen(peers_python)
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


def _run(
    variant: Variant, model: str, epochs: int, data: Path, peers_python: str
) -> processes.Finished:
    return processes.run(
        *(python(variant.peer, peers_python), "-m", f"benchmarks.peers.{variant.peer}", model),
        *("--data", data, "--epochs", str(epochs)),
        *variant.options(),
        cores=variant.cores,
        settings=variant.settings(),
    )


def _tell(repetition: int, model: str, variant: Variant, done: processes.Finished) -> None:
    figures = done.figures
    print(
        f"{repetition + 1}: {model} by {variant}: "
        f"{figures['seconds']:.3f} s, {figures['core_seconds']:.3f} core-seconds an epoch, "
        f"loss {figures['losses'][-1]:.4f}",
        flush=True,
    )


def _judged(
    runs: dict[Variant, list[dict[str, Any]]], *, images: int, gflops: float, tolerance: float
) -> dict[str, Any]:
    """The figures of each variant of one model, beside those of this pipeline."""
    ours = runs[SHIPPED]
    multiply_adds = ours[0]["multiply_adds"] * images
    loss = median(run["losses"][-1] for run in ours)
    rows = []
    for variant, theirs in runs.items():
        their_loss = median(run["losses"][-1] for run in theirs)
        rows.append(
            {
                "peer": variant.peer,
                "library": theirs[0]["library"],
                "cores": variant.cores,
                "cpu_isa": variant.cpu_isa,
                "held_out": variant.held_out,
                "parameters": theirs[0]["parameters"],
                "seconds": spread([run["seconds"] for run in theirs]),
                "core_seconds": spread(_core_seconds(theirs)),
                "times_ours": {
                    reference.cpu_isa: ratios(_core_seconds(theirs), _core_seconds(runs[reference]))
                    for reference in (SHIPPED, NATIVE)
                },
                "loss": their_loss,
                "loss_agrees": abs(their_loss / loss - 1) <= tolerance
                and theirs[0]["parameters"] == ours[0]["parameters"],
            }
        )
    return {
        "multiply_adds_per_epoch": multiply_adds,
        "share_of_peak": 2 * multiply_adds / median(_core_seconds(ours)) / (gflops * 1e9),
        "variants": rows,
    }


def _core_seconds(runs: list[dict[str, Any]]) -> list[float]:
    return [run["core_seconds"] for run in runs]
