"""What a stage keeps of its caller's environment variables, what it drops, and what it sets.

All are kept but these: where to find programs, the tracking store and its password, proxies, a
locale are the caller's affair. A variable is named here if it changes a result, or ends a stage.
"""

import os

from pipeline import params
from pipeline.outs import instruction_sets

DROPPED = {
    # Other instructions, other bytes. Some of these are set again below.
    "ONEDNN_MAX_CPU_ISA": "another instruction set",
    "DNNL_MAX_CPU_ISA": "its older name",
    "OPENBLAS_CORETYPE": "another instruction set",
    "NPY_DISABLE_CPU_FEATURES": "another instruction set",
    "NPY_ENABLE_CPU_FEATURES": "contradicts NPY_DISABLE_CPU_FEATURES: NumPy would not be imported",
    "TF_XLA_FLAGS": "compiles for the CPU at hand",
    "XLA_FLAGS": "likewise",
    # Keras would train for fewer epochs than params.yaml says.
    "KERAS_MAX_EPOCHS": "ends trainings early",
    "KERAS_MAX_STEPS_PER_EPOCH": "ends epochs early",
    # A stage starts what records its run by `python -m`, which takes them over.
    "PYTHONSAFEPATH": "keeps Python from the packages in the working directory",
    "PYTHONWARNINGS": "warnings of DVC and TensorFlow, if made errors, end them",
    "PYTHONOPTIMIZE": "removes docstrings, which MLflow reads",
}


def pins(runtime: params.Runtime) -> dict[str, str]:
    """Those that are set, whatever the caller has: libraries read them when they are imported."""
    chosen = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "KERAS_BACKEND": "tensorflow",
        # 2-3 x faster convolutions, and by default on or off by the kind of CPU.
        "TF_ENABLE_ONEDNN_OPTS": "1",
        # What goes wrong is raised in Python; the C++ log's errors are notes on missing kernels.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Figures are files. Jupyter exports a backend of its own, which isn't installed here.
        "MPLBACKEND": "agg",
    }
    if runtime.device == "cpu":
        chosen["CUDA_VISIBLE_DEVICES"] = "-1"
    if runtime.cpu_isa == "avx2":
        chosen |= instruction_sets.cap().variables
    return chosen


def apply(runtime: params.Runtime) -> None:
    """Drop `DROPPED` from this process's environment, and set `pins`."""
    for name in DROPPED:
        os.environ.pop(name, None)
    os.environ |= pins(runtime)
