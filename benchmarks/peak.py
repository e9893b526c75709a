"""The machine's matrix-multiply rate, by what the stages compute with."""

import sys
from collections import defaultdict
from typing import Any

from benchmarks import processes
from benchmarks.sizes import Sizes
from benchmarks.spread import spread
from pipeline.outs import machine

LIBRARIES = ("numpy", "tensorflow")


def measure(sizes: Sizes) -> dict[str, Any]:
    """GFLOP/s of each library on one core and on all; `one_core`, the best, is the peak."""
    rates, elsewhere = defaultdict(list), 0.0
    cores = sorted({1, machine.cores()})
    for _ in range(sizes.repetitions):
        for library in LIBRARIES:
            for count in cores:
                done = processes.run(
                    *(sys.executable, "-m", "benchmarks.matmul", library),
                    *("--cores", str(count), "--side", str(sizes.matrix)),
                    cores=count,
                )
                rates[library, count].append(done.figures["gflops"])
                elsewhere = max(elsewhere, done.elsewhere)
    rows = [
        {"library": library, "cores": count, "gflops": spread(values)}
        for (library, count), values in rates.items()
    ]
    best = {count: max(max(rates[library, count]) for library in LIBRARIES) for count in cores}
    print(
        *(f"peak on {count} core(s): {rate:.1f} GFLOP/s" for count, rate in best.items()), sep="\n"
    )
    return {
        "matrix": sizes.matrix,
        "rates": rows,
        "one_core": best[1],
        "all_cores": best[max(cores)],
        "elsewhere": elsewhere,
    }
