"""Model files, read without trusting them: a `.keras` file is a program for Keras to carry out.

Keras's safe mode refuses code that a file brings along, but calls what the file names of Keras,
with any arguments: layers that read other files, or that take more memory than there is. So a file
has to be what `artifacts.write_model` writes before Keras sees it.
"""

import io
import json
import math
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras

from pipeline import artifacts
from pipeline.errors import DataError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {CONFIG, WEIGHTS, "metadata.json"}

# What the models of `models` are made of, by module and name; a new kind of layer is added here.
LAYERS = "InputLayer Rescaling Flatten Reshape Dense Conv2D MaxPooling2D UpSampling2D"
PARTS: set[tuple[str | None, str]] = {
    ("keras.src.models.functional", "Functional"),
    ("keras", "DTypePolicy"),
    ("keras.initializers", "GlorotUniform"),
    ("keras.initializers", "Zeros"),
    (None, "__keras_tensor__"),
    *(("keras.layers", name) for name in LAYERS.split()),
}


def read(path: Path) -> keras.Model:
    """The model that `artifacts.write_model` wrote to `path`, not compiled.

    Raises:
        DataError: it can't be read, or is not such a file.
    """
    try:
        with artifacts.open_file(path) as file, zipfile.ZipFile(file) as archive:
            _check_members(archive)
            config, weights = archive.read(CONFIG), archive.read(WEIGHTS)  # held against their CRCs
        _check_parts(json.loads(config))
        _check_weights(weights)
        _check_size(config, len(weights))
        with warnings.catch_warnings():
            # Keras only warns of weights that it did not find, and goes on with random ones.
            warnings.simplefilter("error", UserWarning)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, HDF5 and zipfile may raise anything
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = told.splitlines()[0]
        raise DataError(
            f"{path}: not a readable model: {reason}; training it again writes it anew"
        ) from None


def _check_members(archive: zipfile.ZipFile) -> None:
    held = [member.filename for member in archive.infolist()]
    if sorted(held) != sorted(MEMBERS):
        raise DataError(f"found {', '.join(held) or 'nothing'}, expected {', '.join(MEMBERS)}")
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:  # it could expand to anything
            raise DataError(f"found {member.filename} compressed, expected it as it is")


def _check_parts(value: Any) -> None:
    """Nothing that Keras would make from `value`, part of a config, is none of `PARTS`."""
    if isinstance(value, list):
        for item in value:
            _check_parts(item)
    if isinstance(value, dict):
        if "class_name" in value:
            module, name = value.get("module"), value["class_name"]
            # Keras looks for the registered name first.
            if (module, name) not in PARTS or value.get("registered_name") not in (None, name):
                raise DataError(f"found {module}.{name}, which no model here is made of")
        for item in value.values():
            _check_parts(item)


def _check_weights(content: bytes) -> None:
    """The weights lie in `content` as they are: not packed, and in no other file."""

    def linked(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    def not_plain(name: str, held: Any) -> str | None:
        if isinstance(held, h5py.Group):
            return None
        plain = isinstance(held, h5py.Dataset) and held.dtype.kind == "f"
        if not plain or held.external or held.is_virtual or held.chunks:
            return name
        return None if held.nbytes == held.id.get_storage_size() <= len(content) else name

    with h5py.File(io.BytesIO(content), "r") as file:
        # Each stops at the first name that is returned.
        if name := file.visititems_links(linked) or file.visititems(not_plain):
            raise DataError(f"found no plain numbers in {WEIGHTS} at {name}")


def _check_size(config: bytes, stored: int) -> None:
    """The model that `config` describes has no more parameters than could be `stored`.

    It is built without values for them, in a thread: Keras keeps variables without values in a list
    of the thread, to give them some at its next occasion.
    """

    def described() -> int:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(json.loads(config), safe_mode=True)
        if not isinstance(model, keras.Model):
            raise DataError(f"{CONFIG} describes no model")
        return sum(math.prod(variable.shape) for variable in model.variables)

    with ThreadPoolExecutor(1) as thread:
        parameters = thread.submit(described).result()
    if parameters * 4 > stored:
        raise DataError(f"{CONFIG} describes {parameters} parameters, {WEIGHTS} has {stored} bytes")
