"""Matrix products per second: `python -m benchmarks.matmul numpy|tensorflow --cores N --side N`.

Under the pins of the stages, but for the number of threads.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from pipeline.outs import runtime
from pipeline.params import PARAMS, load_params

SECONDS = 1.0  # of products, after a tenth of that to warm up


def main() -> None:
    """Print a line of JSON: `gflops`, 1e9 additions and multiplications a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("numpy", "tensorflow"))
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--side", type=int, required=True, help="of the square float32 matrices")
    options = parser.parse_args()

    settings = load_params(PARAMS).runtime.model_copy(update={"threads": options.cores})
    runtime.pin(settings)
    os.environ["OPENBLAS_NUM_THREADS"] = str(options.cores)
    import numpy as np

    matrix: Any = np.random.default_rng(0).random((options.side, options.side), np.float32)
    multiply: Callable[[Any, Any], Any] = np.matmul
    if options.library == "tensorflow":
        with runtime.lean_import():
            import tensorflow as tf
        runtime.start_tensorflow(0, settings)
        matrix, multiply = tf.constant(matrix), tf.matmul

    _durations(multiply, matrix, SECONDS / 10)
    product = median(_durations(multiply, matrix, SECONDS))
    print(json.dumps({"gflops": 2 * options.side**3 / product / 1e9}))


def _durations(multiply: Callable[[Any, Any], Any], matrix: Any, seconds: float) -> list[float]:
    durations: list[float] = []
    while sum(durations) < seconds:
        start = time.perf_counter()
        multiply(matrix, matrix)
        durations.append(time.perf_counter() - start)
    return durations


if __name__ == "__main__":
    main()
