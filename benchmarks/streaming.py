"""An epoch with the images read from a file, a part at a time, beside the same from memory."""

import itertools
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import processes, tiles
from benchmarks.sizes import Sizes
from benchmarks.spread import ratios, spread
from pipeline.training.declaration import models

BUDGET = 16  # MiB of images at a time: one chunk, the least there is
WAYS: tuple[tuple[str, ...], ...] = ((), ("--memory-budget", str(BUDGET)))


def measure(sizes: Sizes) -> dict[str, Any]:
    """Seconds of an epoch either way, and the streamed one's speed as a share of the other's."""
    seconds: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
    elsewhere = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tiles.make(sizes.streamed, Path(folder))
        for _, model in itertools.product(range(sizes.repetitions), models()):
            for way, options in enumerate(WAYS):
                done = processes.run(
                    *(sys.executable, "-m", "benchmarks.peers.this_pipeline", model),
                    *("--data", folder, "--epochs", "3", *options),
                    cores=1,
                )
                seconds[model][way].append(done.figures["seconds"])
                elsewhere = max(elsewhere, done.elsewhere)
                how = "streamed" if options else "from memory"
                print(f"{model}, {how}: {done.figures['seconds']:.3f} s an epoch", flush=True)
    return {
        "images": sizes.streamed,
        "budget_mib": BUDGET,
        "elsewhere": elsewhere,
        "models": {
            model: {
                "from_memory": spread(memory),
                "streamed": spread(streamed),
                "speed_ratio": ratios(memory, streamed),
            }
            for model, (memory, streamed) in seconds.items()
        },
    }
