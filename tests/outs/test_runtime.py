"""The runtime is what params.yaml says, whatever the caller's environment says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.outs import runtime, variables
from pipeline.params import PipelineParams, Runtime

PINNED = """
import json, os, sys
from pipeline.outs import runtime
from pipeline.params import Runtime
runtime.pin(Runtime(threads=1, memory_budget=1, cpu_isa=sys.argv[1], device="cpu"))
print(json.dumps(dict(os.environ)))
"""

GPU = """
from pipeline import errors
from pipeline.outs import runtime
from pipeline.params import Runtime
settings = Runtime(threads=1, memory_budget=1, cpu_isa="avx2", device="gpu")
with errors.reported():
    runtime.pin(settings)
    runtime.start_tensorflow(42, settings)
"""

IMPORTED = """
import importlib.util, os, sys
from pipeline.outs import runtime

with runtime.lean_import():
    try:
        import sklearn
    except ImportError:
        print("sklearn is held back")
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\\n")
    os.write(2, b"I0000 00:00:1700000000.123456    4242 port.cc:153] oneDNN is on.\\n")
    os.write(2, b"the disk is full\\n")
    print("the disk is slow", file=sys.stderr)
    if sys.argv[1] == "failing":
        raise SystemExit("the import failed")
os.write(2, b"I0000 this comes later\\n")
print("sklearn is", "found" if importlib.util.find_spec("sklearn") else "lost")
"""


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def environment_after_pin(cpu_isa: str, **callers: str) -> dict[str, str]:
    environment: dict[str, str] = json.loads(run(PINNED, cpu_isa, **callers).stdout)
    return environment


def test_pin_overrides_the_callers_environment(params: PipelineParams) -> None:
    pinned = environment_after_pin(
        "avx2",
        ONEDNN_MAX_CPU_ISA="AVX512_CORE",
        OPENBLAS_CORETYPE="SkylakeX",
        OMP_NUM_THREADS="7",
        TF_ENABLE_ONEDNN_OPTS="0",
        KERAS_BACKEND="torch",
        CUDA_VISIBLE_DEVICES="0",
        MPLBACKEND="module://matplotlib_inline.backend_inline",
    )
    assert variables.pins(params.runtime).items() <= pinned.items()
    assert pinned["OMP_NUM_THREADS"] == "1"
    assert pinned["KERAS_BACKEND"] == "tensorflow"
    assert pinned["CUDA_VISIBLE_DEVICES"] == "-1"
    assert pinned["MPLBACKEND"] == "agg"


def test_native_leaves_the_instruction_set_to_the_cpu() -> None:
    pinned = environment_after_pin(
        "native", ONEDNN_MAX_CPU_ISA="AVX512_CORE", OPENBLAS_CORETYPE="SkylakeX"
    )
    assert "ONEDNN_MAX_CPU_ISA" not in pinned
    assert "OPENBLAS_CORETYPE" not in pinned
    assert pinned["OMP_NUM_THREADS"] == "1"


def test_pins_are_not_changed_once_numpy_is_imported(params: PipelineParams) -> None:
    import numpy as np  # noqa: F401

    runtime.pin(params.runtime)  # what conftest.py has pinned
    with pytest.raises(RuntimeError, match="before NumPy and TensorFlow are imported"):
        runtime.pin(params.runtime.model_copy(update={"cpu_isa": "native"}))


def test_a_lean_import_drops_chatter_and_passes_on_the_rest() -> None:
    result = run(IMPORTED, "well")
    assert result.stderr == "the disk is full\nthe disk is slow\nI0000 this comes later\n"


def test_a_lean_import_that_fails_still_passes_on_what_was_said() -> None:
    result = run(IMPORTED, "failing")
    assert result.stderr == "the disk is full\nthe disk is slow\nthe import failed\n"


def test_a_lean_import_holds_back_sklearn_only_while_it_lasts() -> None:
    assert run(IMPORTED, "well").stdout == "sklearn is held back\nsklearn is found\n"


@pytest.mark.usefixtures("tensorflow")
def test_tensorflow_runs_on_the_threads_of_the_params(params: PipelineParams) -> None:
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == params.runtime.threads
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1


@pytest.mark.usefixtures("tensorflow")
def test_the_seed_decides_the_first_weights() -> None:
    import keras

    def first_weights(seed: int) -> bytes:
        runtime.start_tensorflow(
            seed, Runtime(threads=1, memory_budget=1, cpu_isa="avx2", device="cpu")
        )
        weights: bytes = keras.initializers.GlorotUniform()((3, 3)).numpy().tobytes()
        return weights

    assert first_weights(1) == first_weights(1)
    assert first_weights(1) != first_weights(2)


def test_a_gpu_that_is_not_there_is_one_line() -> None:
    result = run(GPU, CUDA_VISIBLE_DEVICES="-1")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: runtime.device is gpu, but TensorFlow finds none; expected one")


def test_a_gpu_is_hidden_unless_it_is_asked_for(params: PipelineParams) -> None:
    gpu = params.runtime.model_copy(update={"device": "gpu"})
    assert variables.pins(params.runtime)["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in variables.pins(gpu)
