"""What decides a result's bytes besides data, code and params: threads, instructions, seeds."""

import ctypes
import gc
import os
import platform
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import params
from pipeline.errors import MachineError
from pipeline.outs import variables

REQUIRED = ("avx2", "fma")
CPUINFO = Path("/proc/cpuinfo")
# What malloc keeps of freed memory at the end of a heap, bytes, in place of 128 KiB. A step frees
# what the next one takes again, and the kernel clears each page in between: the convolutional
# autoencoder had a million page faults, and 30 core-seconds; it has 200,000, and 27.
M_TOP_PAD, KEPT = -2, 16 * 2**20  # malloc.h has the first
FEATURES = (*REQUIRED, "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
UNUSED = ("matplotlib", "pandas", "scipy", "sklearn")
# absl's log lines: severity and date, then time, thread and source.
CHATTER = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} \d\d:\d\d:\d\d")
_pinned: params.Runtime | None = None  # what this process was pinned to


def pin(runtime: params.Runtime) -> None:
    """Set the environment `variables`, whatever the caller has.

    Weights change with the number of threads and with the instruction set that oneDNN picks.

    Raises:
        MachineError: this CPU lacks what the pins ask for.
    """
    global _pinned  # noqa: PLW0603 - what libraries read when they are imported is of the process
    if _pinned != runtime and ("numpy" in sys.modules or "tensorflow" in sys.modules):
        raise RuntimeError("pin() must come before NumPy and TensorFlow are imported")
    confirm(runtime)
    _pinned = runtime


def confirm(runtime: params.Runtime) -> None:
    """Set the `variables` in a process that was started with them, as a worker of a cluster is.

    What NumPy reads of them has been read; what others have added since is dropped.

    Raises:
        MachineError: this CPU lacks what the pins ask for.
    """
    check(runtime)
    variables.apply(runtime)


def check(runtime: params.Runtime) -> None:
    """Make sure that the CPU has the instruction sets that `runtime` asks for.

    Raises:
        MachineError: it lacks some.
    """
    missing = [name for name in REQUIRED if name not in cpu_features()]
    if runtime.cpu_isa == "avx2" and missing:
        raise MachineError(
            f"runtime.cpu_isa is avx2, but this CPU has no {' and no '.join(missing)}; "
            "set it to native, and expect other bytes than the committed ones"
        )


def cpu_features() -> list[str]:
    """Those of `FEATURES` that the CPU has, by Linux's own names."""
    flags = _cpuinfo("flags").split()
    return [name for name in FEATURES if name in flags]


def cpu_name() -> str:
    """What the CPU calls itself: "Intel(R) Xeon(R) Processor"."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str:
    """What Linux says of the first CPU under `key`; empty if it says nothing."""
    if not CPUINFO.exists():
        return ""
    found = re.search(rf"^{key}\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    return found[1].strip() if found else ""


def allowed_features(runtime: params.Runtime) -> list[str]:
    """The instruction sets that decide a result and that a stage may use."""
    return list(REQUIRED) if runtime.cpu_isa == "avx2" else cpu_features()


@contextmanager
def lean_import(*, used: Collection[str] = ()) -> Iterator[None]:
    """Import TensorFlow and Keras inside this: in half the time, and without their chatter.

    Keras imports those of `UNUSED` where it finds them (MLflow brings most along) for wrappers and
    readers that no stage uses: 3 s of 6. Another second goes into looking for garbage among the
    million objects that are made, and there is none.

    Args:
        used: those of `UNUSED` that are to be imported after all.
    """
    hidden = [module for module in UNUSED if module not in {*sys.modules, *used}]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment]  # importing it fails, as documented
    gc.disable()
    try:
        with _without_chatter():
            yield
    finally:
        gc.freeze()  # what is there now stays, and need not be looked at while models are traced
        gc.enable()
        for module in hidden:
            del sys.modules[module]


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Drop the lines that TensorFlow's C++ logs while it is imported, before its log level counts.

    They come from below Python, so the process's own standard error is held back meanwhile; what
    is not such a line is passed on.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not CHATTER.match(line):
                    sys.stderr.write(line.decode(errors="replace"))


def start_tensorflow(seed: int, runtime: params.Runtime) -> None:
    """Import TensorFlow, make it deterministic, seed all there is; let malloc keep memory."""
    with lean_import():
        import keras
        import tensorflow as tf

    ctypes.CDLL(None).mallopt(M_TOP_PAD, KEPT)
    tf.get_logger().setLevel("ERROR")  # a model is traced once for predict: no cause for a warning
    tf.config.threading.set_intra_op_parallelism_threads(runtime.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    # The user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed)
