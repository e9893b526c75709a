"""Model files: those of this pipeline are read, and what else a file asks of Keras is refused."""

import base64
import io
import json
import marshal
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from pipeline.data.datasets import Dataset
from pipeline.errors import DataError
from pipeline.outs import model_archive, runtime
from pipeline.training.predictions import predictor
from stages import train_classifier, train_conv_ae, train_dense_ae
from tests.conftest import PARAMS
from tests.users import as_nobody

pytestmark = pytest.mark.usefixtures("tensorflow")

MODELS: dict[str, Callable[[], keras.Model]] = {
    "classifier": lambda: train_classifier.build(PARAMS.section("train_classifier"), 28, 10),
    "dense_ae": lambda: train_dense_ae.build(PARAMS.section("train_dense_ae"), 28),
    "conv_ae": lambda: train_conv_ae.build(PARAMS.section("train_conv_ae"), 28),
}
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's file, to be copied."""
    runtime.start_tensorflow(PARAMS.seed, PARAMS.runtime)
    path = tmp_path_factory.mktemp("written") / "conv_ae.keras"
    model_archive.write(path, MODELS["conv_ae"]())
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path))


@pytest.fixture(scope="module")
def happened() -> Iterator[list[str]]:
    """What connects or starts a process; a hook stays for good, so it is one for all tests."""
    noted: list[str] = []
    watching = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"}
    sys.addaudithook(lambda event, _: noted.append(event) if event in watching else None)
    yield noted
    watching.clear()


@pytest.fixture
def target(tmp_path: Path, happened: list[str]) -> Iterator[Path]:
    """What an attack would make; meanwhile nothing connects or starts a process."""
    happened.clear()
    yield tmp_path / "target"
    assert happened == []


def _members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        model_archive.read(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert len(told.splitlines()) == 1
    assert len(told) < 1000
    return told


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_every_model_of_the_pipeline_is_read_as_it_was(
    tmp_path: Path, build: Callable[[], keras.Model], digits: Dataset
) -> None:
    model = build()
    model_archive.write(tmp_path / "model.keras", model)
    read = model_archive.read(tmp_path / "model.keras")
    assert not read.compiled
    np.testing.assert_array_equal(
        predictor(read)(digits.test_images),
        predictor(model)(digits.test_images),
    )


def _many_layers() -> keras.Model:
    """Of the layers that a classifier or an autoencoder of one's own may have."""
    images = keras.Input((28, 28), dtype="uint8", name="images")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(images))
    x = layers.GaussianNoise(0.1)(x)
    x = layers.Conv2D(3, 3, strides=2, padding="same", kernel_regularizer="l2")(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Add()([x, layers.SeparableConv2D(3, 3, padding="same", activation="elu")(x)])
    x = layers.SpatialDropout2D(0.2)(layers.LayerNormalization()(x))
    x = layers.Conv2DTranspose(2, 3, strides=2, padding="same", kernel_initializer="he_normal")(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Flatten()(x)])
    x = layers.Dense(8, bias_initializer=keras.initializers.Constant(0.1))(layers.Dropout(0.5)(x))
    return keras.Model(images, layers.Softmax()(layers.PReLU()(x)), name="many")


def _sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28), dtype="uint8", name="images"),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("build", [_many_layers, _sequential], ids=["functional", "sequential"])
def test_a_model_of_other_layers_is_written_with_the_same_bytes_and_read_as_it_was(
    tmp_path: Path, build: Callable[[], keras.Model], digits: Dataset
) -> None:
    written = []
    for name in ("one.keras", "other.keras"):
        keras.utils.set_random_seed(7)
        keras.backend.clear_session()
        model = build()
        model_archive.check(model)
        model(digits.train_images[:8], training=True)  # noise moves the state of its generator
        model_archive.write(tmp_path / name, model)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    read = model_archive.read(tmp_path / "one.keras")
    for variable, expected in zip(read.weights, model.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    np.testing.assert_array_equal(
        predictor(read)(digits.test_images), predictor(model)(digits.test_images)
    )


class _Own(layers.Dense):
    pass


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: layers.Lambda(lambda x: 2 * x), "keras.layers.Lambda"),
        (lambda: layers.LSTM(3), "keras.layers.LSTM"),
        (lambda: _Own(3), f"{__name__}._Own"),
        (lambda: layers.Dense(3, kernel_constraint="non_neg"), "keras.constraints.NonNeg"),
    ],
)
def test_a_model_that_could_not_be_read_is_refused_before_it_is_trained(
    layer: Callable[[], keras.Layer], name: str
) -> None:
    model = keras.Sequential([keras.Input((28, 28)), layer()], name="mine")
    with pytest.raises(
        DataError, match=f"^mine: found {re.escape(name)}, expected one of the parts"
    ):
        model_archive.check(model)


def test_a_model_cut_short_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 1 + len(whole) // 40), len(whole) - 1}:
        path.write_bytes(whole[:length])
        _refusal(path)


def test_a_model_with_a_changed_byte_is_refused_or_means_the_same(path: Path) -> None:
    whole = path.read_bytes()
    weights = [variable.numpy() for variable in model_archive.read(path).variables]
    for place in range(0, len(whole), 1 + len(whole) // 60):
        changed = bytearray(whole)
        changed[place] ^= 255
        path.write_bytes(changed)
        try:
            read = model_archive.read(path)
        except DataError:
            continue
        for variable, expected in zip(read.variables, weights, strict=True):
            np.testing.assert_array_equal(variable.numpy(), expected)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda path: path.write_bytes(b""), "not a zip file", id="empty"),
        pytest.param(lambda path: path.write_text("text"), "not a zip file", id="text"),
        pytest.param(lambda path: path.mkdir(), "found a folder, expected a file", id="folder"),
        pytest.param(os.mkfifo, "found a named pipe", id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "found a device", id="device"),
        pytest.param(lambda _: None, "No such file", id="missing"),
    ],
)
def test_what_is_no_archive_is_refused(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "model.keras"
    make(path)
    assert told in _refusal(path)


def test_a_model_that_may_not_be_read_is_refused(path: Path) -> None:
    path.chmod(0)
    with as_nobody():
        assert "Permission denied" in _refusal(path)


def _part(module: str | None, name: str, registered: str | None = None, **config: Any) -> Any:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def _function(module: str, name: str) -> Any:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _marshalled(target: Path) -> Any:
    source = f"lambda x: open({str(target)!r}, 'w') and x"
    code = base64.b64encode(marshal.dumps(compile(source, "", "eval").co_consts[0])).decode()
    value = {"code": code, "defaults": None, "closure": None}
    function = {"class_name": "__lambda__", "config": value}
    return _part("keras.layers", "Lambda", function=function)


ATTACKS: dict[str, Callable[[Path], Any]] = {
    "a lambda's code": _marshalled,
    "os.system": lambda target: _part("os", "system", command=f"touch {target}"),
    "os.system as a function": lambda _: _function("os", "system"),
    "builtins.eval": lambda target: _part("builtins", "eval", source=f"open('{target}', 'w')"),
    "builtins.eval as a function": lambda _: _function("builtins", "eval"),
    "subprocess.Popen": lambda target: _part("subprocess", "Popen", args=["touch", str(target)]),
    "keras.utils.get_file": lambda target: _part(
        "keras.utils", "get_file", fname=str(target), origin="http://localhost:9/"
    ),
    "keras.utils.get_file as a function": lambda _: _function("keras.utils", "get_file"),
    "keras.saving.load_model": lambda target: _part(
        "keras.saving", "load_model", filepath=str(target)
    ),
    "keras.models.load_model in Keras's own folders": lambda _: _function(
        "keras.src.saving.saving_lib", "load_model"
    ),
    "a layer that reads a SavedModel": lambda target: _part(
        "keras.layers", "TFSMLayer", filepath=str(target)
    ),
    "a layer that reads a file": lambda _: _part(
        "keras.layers", "StringLookup", vocabulary="/etc/passwd"
    ),
    "a registered name": lambda _: _part("keras.layers", "Dense", "package>Dense", units=3),
    "a type": lambda _: {"class_name": "__typespec__", "config": [], "spec_name": "x"},
    "a name that is no name": lambda _: _part("keras.layers", ["Dense"]),  # type: ignore[arg-type]
}
PLACES: dict[str, Callable[[Any, Any], None]] = {
    "model": lambda config, attack: config.update(attack),
    "layer": lambda config, attack: config["config"]["layers"].insert(1, attack),
    "activation": lambda config, attack: config["config"]["layers"][3]["config"].update(
        activation=attack
    ),
    "initializer": lambda config, attack: config["config"]["layers"][3]["config"].update(
        kernel_initializer=attack
    ),
    "argument": lambda config, attack: config["config"]["layers"][3]["inbound_nodes"][0].update(
        kwargs={"more": attack}
    ),
    "compilation": lambda config, attack: config.update(compile_config={"loss": attack}),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_model_names_only_what_models_here_are_made_of(
    path: Path,
    target: Path,
    attack: Callable[[Path], Any],
    place: Callable[[Any, Any], None],
) -> None:
    members = _members(path)
    config = json.loads(members["config.json"])
    place(config, attack(target))
    _write(path, members | {"config.json": json.dumps(config).encode()})
    assert re.search("expected one of the parts in|unhashable", _refusal(path))
    assert not target.exists()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[1, 2]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"{}", id="empty"),
        pytest.param(b'{"class_name": "__keras_tensor__", "config": {}}', id="a tensor"),
        pytest.param(
            json.dumps(_part("keras.layers", "Dense", units=3)).encode(), id="a layer, no model"
        ),
    ],
)
def test_a_config_that_describes_no_model_is_refused(path: Path, config: bytes) -> None:
    _write(path, _members(path) | {"config.json": config})
    _refusal(path)


def test_a_model_with_more_parameters_than_it_has_weights_is_refused_before_it_is_built(
    tmp_path: Path,
) -> None:
    path = tmp_path / "dense_ae.keras"
    model_archive.write(path, MODELS["dense_ae"]())
    members = _members(path)
    config = members["config.json"].decode()
    # Consistent all through: the code alone would take 300 TB.
    config = config.replace('"units": 100', '"units": 100000000000')
    config = config.replace("100]", "100000000000]")
    _write(path, members | {"config.json": config.encode()})
    assert "describes 156900000000784 parameters" in _refusal(path)


def test_what_a_refused_model_described_is_forgotten(path: Path, tmp_path: Path) -> None:
    test_a_model_with_more_parameters_than_it_has_weights_is_refused_before_it_is_built(tmp_path)
    with keras.StatelessScope():  # at its end, Keras gives values to variables without any
        pass
    model_archive.read(path)


WEIGHT = "layers/conv2d/vars/0"


def _external_link(file: h5py.File, target: Path) -> None:
    with h5py.File(target, "w") as other:
        other["weights"] = np.zeros((3, 3, 1, 16), "f4")
    file[WEIGHT] = h5py.ExternalLink(str(target), "/weights")


def _external_storage(file: h5py.File, target: Path) -> None:
    target.write_bytes(bytes(576))
    file.create_dataset(WEIGHT, (3, 3, 1, 16), "f4", external=[(str(target), 0, 576)])


def _virtual(file: h5py.File, target: Path) -> None:
    layout = h5py.VirtualLayout((3, 3, 1, 16), "f4")
    layout[...] = h5py.VirtualSource(str(target), "weights", (3, 3, 1, 16))
    file.create_virtual_dataset(WEIGHT, layout)


def _soft_link(file: h5py.File, _: Path) -> None:
    file[WEIGHT] = h5py.SoftLink("/layers/conv2d_2/vars/0")


def _dataset(**settings: Any) -> Callable[[h5py.File, Path], None]:
    return lambda file, _: file.create_dataset(WEIGHT, **settings) and None


HUGE = (10**5, 10**5)
WEIGHTS: dict[str, tuple[Callable[[h5py.File, Path], None], str]] = {
    "an external link": (_external_link, "no plain"),
    "external storage": (_external_storage, "no plain"),
    "a virtual dataset": (_virtual, "no plain"),
    "a soft link": (_soft_link, "no plain"),
    "another shape": (_dataset(data=np.zeros((3, 3, 1, 15), "f4")), "not a readable model"),
    "a scalar": (_dataset(data=np.float32(1)), "not a readable model"),
    "text": (_dataset(data="text"), "no plain"),
    "packed": (_dataset(data=np.zeros((3, 3, 1, 16), "f4"), compression="gzip"), "no plain"),
    "40 GB, none of them stored": (_dataset(shape=HUGE, dtype="f4"), "no plain"),
    "40 GB of a fill value": (_dataset(shape=HUGE, dtype="f4", chunks=(10, 10)), "no plain"),
    "nothing": (lambda *_: None, "not a readable model"),
    "a folder": (lambda file, _: file.create_group(WEIGHT) and None, "not a readable model"),
}


@pytest.mark.parametrize(("replace", "told"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_lie_in_the_file_as_they_are(
    path: Path, tmp_path: Path, replace: Callable[[h5py.File, Path], None], told: str
) -> None:
    members = _members(path)
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        del file[WEIGHT]
        replace(file, tmp_path / "other.h5")
    _write(path, members | {"model.weights.h5": content.getvalue()})
    assert told in _refusal(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda members: members.pop("config.json"), "expected", id="no config"),
        pytest.param(lambda members: members.pop("model.weights.h5"), "expected", id="no weights"),
        pytest.param(lambda members: members.update({"assets/x": b""}), "assets/x", id="assets"),
        pytest.param(lambda members: members.update({"../x": b""}), "../x", id="path upwards"),
        pytest.param(
            lambda members: members.update({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
            "not a readable model",
            id="weights cut short",
        ),
    ],
)
def test_an_archive_of_other_members_is_refused(
    path: Path, change: Callable[[Members], object], told: str
) -> None:
    members = _members(path)
    change(members)
    _write(path, members)
    assert told in _refusal(path)


def test_a_process_that_was_refused_weights_ends_well(path: Path) -> None:
    """Even when the error is never let go, as happens to one that a thread or a cycle holds."""
    _write(path, _members(path) | {"model.weights.h5": b"\x89HDF\r\n\x1a\n"})
    program = """if True:
        import ctypes, sys
        from pathlib import Path
        from pipeline.errors import DataError
        from pipeline.outs import runtime
        with runtime.lean_import():
            from pipeline.outs import model_archive
        try:
            model_archive.read(Path(sys.argv[1]))
        except DataError as error:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))
            print("refused")
    """
    ended = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "refused\n")


def test_a_packed_archive_is_refused(path: Path) -> None:
    members = _members(path) | {"model.weights.h5": bytes(10**8)}
    _write(path, members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    assert "compressed" in _refusal(path)


def test_a_size_that_an_archive_only_claims_is_not_reserved(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")  # the last member is the weights
    content[start + 20 : start + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)
    _refusal(path)


def test_what_models_are_made_of_is_admitted(tmp_path: Path) -> None:
    made: set[tuple[str | None, str]] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict) and "class_name" in value:
            made.add((value.get("module"), value["class_name"]))
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (dict, list)):
                collect(item)

    for build in MODELS.values():
        model_archive.write(tmp_path / "model.keras", build())
        collect(json.loads(_members(tmp_path / "model.keras")["config.json"]))
    assert made <= model_archive.PARTS
