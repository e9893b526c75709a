"""Model files: written with the same bytes every time, and read without trusting them.

A `.keras` file is a program for Keras to carry out. Keras's safe mode refuses code that a file
brings along, but calls what the file names of Keras, with any arguments: layers that read other
files, or that take more memory than there is. So a file has to be what `write` writes before Keras
sees it.
"""

import json
import math
import re
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras

from pipeline.errors import DataError
from pipeline.outs import artifacts
from pipeline.outs.tables import table

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry
MEMBERS = {CONFIG, WEIGHTS, "metadata.json"}

PARTS_FILE = "pipeline/outs/model_archive.py"
# What a model may be made of, by module and name: of Keras, what computes with numbers alone. A
# layer that reads a file, or runs code, never belongs here.
LAYERS = """
    InputLayer Rescaling Flatten Reshape Permute
    Dense Conv2D Conv2DTranspose DepthwiseConv2D SeparableConv2D
    MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    UpSampling2D ZeroPadding2D Cropping2D
    Activation ReLU LeakyReLU PReLU ELU Softmax
    Dropout SpatialDropout2D GaussianDropout GaussianNoise
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization
    Add Subtract Multiply Average Maximum Minimum Concatenate
"""
INITIALIZERS = """
    GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal
    RandomUniform RandomNormal TruncatedNormal Zeros Ones Constant
"""
PARTS: set[tuple[str | None, str]] = {
    ("keras.src.models.functional", "Functional"),
    ("keras", "Sequential"),
    ("keras", "DTypePolicy"),
    (None, "__keras_tensor__"),
    *(("keras.layers", name) for name in LAYERS.split()),
    *(("keras.initializers", name) for name in INITIALIZERS.split()),
    *(("keras.regularizers", name) for name in ("L1", "L2", "L1L2")),
}


def check(model: keras.Model) -> None:
    """Refuse a model that `read` would refuse: before it is trained.

    Raises:
        DataError: it has a part that is not in `PARTS`.
    """
    try:
        _check_parts(json.loads(model.to_json()))
    except DataError as error:
        raise DataError(f"{model.name}: {error}") from None


def write(path: Path, model: keras.Model) -> None:
    """Write `model` as a `.keras` file, and its structure as text beside it.

    Keras stamps the archive and its metadata with the time of saving, and numbers shared objects
    by their address in memory. So the archive is written anew: the same entries, sorted,
    uncompressed, without times, numbers from 0 on.
    """
    with artifacts.atomic(path) as partial:
        saved = partial.with_name(f"{partial.name}.keras")
        try:
            model.save(saved)
            _normalise(saved, partial)
        finally:
            saved.unlink(missing_ok=True)
    artifacts.write_text(path.with_suffix(".txt"), structure(model))


def structure(model: keras.Model) -> str:
    """The layers of `model` with their output shapes and parameter counts, and the total.

    Keras's own summary draws with other characters by locale.
    """
    rows = [("layer", "type", "output", "parameters")]
    for layer in model.layers:
        shape = " x ".join(map(str, layer.output.shape[1:]))
        rows.append((layer.name, type(layer).__name__, shape, f"{layer.count_params():,}"))
    return table([*rows, ("total", "", "", f"{model.count_params():,}")], left=2)


def read(path: Path) -> keras.Model:
    """The model that `write` wrote to `path`, not compiled.

    Raises:
        DataError: it can't be read, or is not such a file.
    """
    try:
        with artifacts.open_file(path) as file, zipfile.ZipFile(file) as archive:
            _check_members(archive)
            config, weights = archive.read(CONFIG), archive.read(WEIGHTS)  # CRCs are checked
        _check_parts(json.loads(config))
        _check_weights(weights)
        _check_size(config, len(weights))
        with warnings.catch_warnings():
            # Keras only warns of weights that it did not find, and goes on with random ones.
            warnings.simplefilter("error", UserWarning)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, HDF5 and zipfile may raise anything
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = text.splitlines()[0]
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
                raise DataError(f"found {module}.{name}, expected one of the parts in {PARTS_FILE}")
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

    # HDF5's own memory, no file object: one that is left open by a damaged file is called back when
    # the process ends, after Python did, and that is a segmentation fault.
    with h5py.File.in_memory(content) as file:
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


def _normalise(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as normal:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": ""}).encode()
            if name == "config.json":
                content = _renumbered(content)
            normal.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)


def _renumbered(config: bytes) -> bytes:
    """Shared objects numbered in order of appearance; equal numbers stay equal."""
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda match: match[1] + b"%d" % numbers.setdefault(match[2], len(numbers)),
        config,
    )
