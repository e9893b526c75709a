"""How time and memory grow with the number of images, by the stages' own commands."""

import shutil
import sys
from typing import Any

from benchmarks import processes, tiles
from benchmarks.sizes import Sizes
from benchmarks.workspace import change_params, workspace
from pipeline.training.declaration import trainings


def measure(sizes: Sizes) -> dict[str, Any]:
    """Seconds and peak resident memory of each stage, one epoch each, by number of images.

    A stage's seconds are those of its process, start to end: imports, evaluation and the probe
    included. Memory counts the pages of memory-mapped arrays that it has touched.
    """
    rows, elsewhere = [], 0.0
    for count in sizes.scale:
        with workspace() as root:
            images = root.parent / "images"
            tiles.make(count, images)
            change_params(root, images=images, epochs=1)
            for stage in ("prepare", *trainings()):
                done = processes.run(
                    *(sys.executable, "-m", "stages", stage),
                    folder=root,
                    settings={"PIPELINE_TRACKING": "off"},
                )
                elsewhere = max(elsewhere, done.elsewhere)
                rows.append(
                    {
                        "stage": stage,
                        "images": count,
                        "seconds": round(done.seconds, 3),
                        "core_seconds": round(done.core_seconds, 3),
                        "milliseconds_per_image": round(1e3 * done.seconds / count, 4),
                        "peak_mib": round(done.peak_mib, 1),
                    }
                )
                print(
                    f"{count:,} images, {stage}: {done.seconds:.2f} s, {done.peak_mib:,.0f} MiB",
                    flush=True,
                )
                if stage == "prepare":
                    shutil.rmtree(images)  # they are in data/prepared now: half the disk space
    return {"stages": rows, "elsewhere": elsewhere}
