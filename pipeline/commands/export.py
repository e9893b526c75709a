"""A trained model in a form that is read without Keras: by TensorFlow, ONNX Runtime or LiteRT."""

import argparse
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import MachineError, StorageError
from pipeline.outs import dvc_lock, paths, runtime
from pipeline.params import PARAMS, load_params
from pipeline.training.declaration import trainings
from pipeline.verification import agreement

# By name here: Keras's own name, and what the file's name ends with where Keras demands it.
FORMATS = {
    "saved_model": ("tf_saved_model", ""),
    "onnx": ("onnx", ""),
    "litert": ("litert", ".tflite"),
}
CONVERTERS = {"onnx": "tf2onnx"}  # what Keras needs besides TensorFlow: the extra `export`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument("stage", choices=list(trainings()), help="the training whose model it is")
    parser.add_argument("--format", dest="form", choices=list(FORMATS), required=True)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PATH", help="a file or folder to make"
    )


def main(*, stage: str, form: str, output: Path) -> None:
    """Write the model that dvc.lock names to `output`, by Keras's own `Model.export`.

    It takes what the Keras model takes, raw images, and gives what that gives.

    Args:
        stage: the training that made it.
        form: which of `FORMATS`.
        output: the file, or the folder of a SavedModel; nothing may be there.

    Raises:
        DataError: the model can't be read.
        LockError: dvc.lock has no such result, or the model here is another.
        MachineError: a package is missing.
        ParamsError: params.yaml is wrong.
        StorageError: there is something at `output`, or it can't be written.
    """
    params = load_params(PARAMS)
    model = paths.model(stage)
    agreement.check({str(model): dvc_lock.locked(stage).outs.get(str(model), "none")})
    converter = CONVERTERS.get(form)
    if converter and not find_spec(converter):
        raise MachineError(
            f"--format {form}: found no {converter}, expected it in this environment; "
            f"`python -m pip install {converter}` adds it"
        )
    if output.exists():
        raise StorageError(
            f"{output}: found something there, expected nothing: it is kept as it is"
        )
    runtime.pin(params.runtime)
    runtime.start_tensorflow(params.seed, params.runtime)

    import tensorflow as tf

    try:
        _export(model, form, output)
    except (OSError, tf.errors.OpError) as error:  # the latter of a SavedModel
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{output}: can't be written: {reason}") from None
    print(f"{model}, as dvc.lock names it, is at {output}")


def _export(model: Path, form: str, output: Path) -> None:
    """Beside `output` first, which so is there whole or not at all."""
    from pipeline.outs import model_archive

    name, suffix = FORMATS[form]
    read = model_archive.read(model)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy, that Keras patches tf2onnx
        target = Path(folder) / f"{output.stem}{suffix}"
        # Keras knows no signature of a model that nothing has called yet.
        read.export(target, format=name, verbose=False, input_signature=read.inputs)
        target.rename(output)
