"""The state of a training after its last epoch, from which a killed one goes on.

Keras's own `BackupAndRestore` keeps weights and optimizer, and takes what it finds for its own.
Here the history is part of the state, in the same file, so that the two can't disagree; and the
file is named after all that the result depends on, so that a training with other data, code, params
or packages does not find it.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from pipeline import params
from pipeline.outs import artifacts, dvc_lock, environment, paths
from pipeline.outs.artifacts import Row

if TYPE_CHECKING:
    import keras


class Checkpoint:
    """Where the training of `stage` keeps its state: a context manager.

    When its block ends well, the outs are written and the state is removed; when it ends by an
    exception, or does not end, the state stays.

    Attributes:
        path: the file with it.
        inputs: what the stage depends on, as it was at the start.

    Raises:
        LockError: a dep of the stage is missing.
    """

    def __init__(self, stage: str, runtime: params.Runtime) -> None:
        self.inputs = dvc_lock.current(stage)
        named = [self.inputs.fingerprint, environment.used(runtime)]
        key = hashlib.md5(json.dumps(named, sort_keys=True).encode())  # noqa: S324
        self.path = paths.CHECKPOINTS / stage / f"{key.hexdigest()}.npz"

    def __enter__(self) -> Self:
        for file in self.path.parent.glob("*"):
            if file != self.path:
                file.unlink()  # superseded, or half-written by a training that was killed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            shutil.rmtree(self.path.parent, ignore_errors=True)

    def save(self, variables: "Sequence[keras.Variable]", rows: Sequence[Row]) -> None:
        """Keep `variables` and the history so far in place of the state before."""
        history = np.frombuffer(json.dumps(rows).encode(), np.uint8)
        with artifacts.atomic(self.path) as partial, partial.open("wb") as file:
            np.savez(file, *(variable.numpy() for variable in variables), history=history)

    def restore(self, variables: "Sequence[keras.Variable]") -> list[Row]:
        """Bring `variables` to the state that is kept, and return its history.

        Without a readable one, leave them and return no rows.
        """
        if not self.path.exists():
            return []
        try:
            with np.load(self.path, allow_pickle=False) as archive:  # holds each array's CRC
                arrays = [archive[f"arr_{index}"] for index in range(len(variables))]
                rows: list[Row] = json.loads(archive["history"].tobytes())
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            print(f"{self.path}: not readable ({error}); training starts anew")
            return []
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        print(f"continuing after epoch {len(rows)}")
        return rows
