"""What decides a result's bytes besides data, code and params: threads, instructions, seeds."""

import gc
import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline import params
from pipeline.errors import MachineError
from pipeline.outs import instruction_sets, machine, variables

UNUSED = ("matplotlib", "pandas", "scipy", "sklearn")
# absl's log lines: severity and date, then time, thread and source.
CHATTER = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} \d\d:\d\d:\d\d")
_pinned: params.Runtime | None = None  # what this process was pinned to


def pin(runtime: params.Runtime) -> None:
    """Set the environment `variables`, whatever the caller has.

    Weights change with the number of threads and with the instruction set that oneDNN picks.

    Raises:
        MachineError: TensorFlow can't be imported on this CPU.
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
        MachineError: TensorFlow can't be imported on this CPU.
    """
    instruction_sets.check()
    variables.apply(runtime)


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
    """Import TensorFlow, make it deterministic, seed all there is; let malloc keep memory.

    Raises:
        MachineError: `runtime` asks for a GPU, and TensorFlow finds none.
    """
    with lean_import():
        import keras
        import tensorflow as tf

    machine.keep_freed_memory()
    tf.get_logger().setLevel("ERROR")  # a model is traced once for predict: no cause for a warning
    tf.config.threading.set_intra_op_parallelism_threads(runtime.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    if runtime.device == "gpu":
        _share_gpus(tf.config.list_physical_devices("GPU"))
    # The user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed)


def _share_gpus(gpus: Sequence[Any]) -> None:
    """Let each training take what memory it needs: by default the first one takes it all.

    Raises:
        MachineError: there is none.
    """
    import tensorflow as tf

    if not gpus:
        raise MachineError(
            "runtime.device is gpu, but TensorFlow finds none; expected one, with NVIDIA's driver "
            "and what `make gpu` installs, or set it to cpu"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
