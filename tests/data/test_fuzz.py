"""Files of every kind of nonsense: each is read, or refused in one line, in little memory.

`pytest tests/data/test_fuzz.py --hypothesis-profile=long` takes 5 minutes; see conftest.py.
"""

import gzip
import io
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pipeline.data import datasets
from pipeline.data.files import preparation, readers
from pipeline.data.files.holding import Kind, Part
from pipeline.data.inspection import inspect
from pipeline.errors import DataError
from tests.data.sections import sources, unheard
from tests.data.test_forms import png
from tests.data.test_hostile_forms import saved, written
from tests.data.test_readers import (
    DTYPE,
    FORMATS,
    KINDS,
    PLAIN,
    _idx_header,
    _Images,
    _instructions,
)
from tests.memory import peak_below, traced  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
    pytest.mark.usefixtures("traced"),
]


@pytest.fixture(scope="module", autouse=True)
def _letters() -> None:
    """Let Hypothesis list all of Unicode before `traced`, under which that takes 30 s for 1 s.

    It keeps the list in .hypothesis, so a new clone pays once.
    """
    st.text().validate()


MEMORY = 128 * 2**20  # bytes: `datasets` keeps eight for a label, of as many as 16 MiB hold

# Bytes changed, dropped and added anywhere.
FILES = [files[kind] for files in FORMATS.values() for kind in KINDS]
WHOLE = st.integers(0, len(FILES) - 1).map(FILES.__getitem__)  # Hypothesis shows what it samples
STARTS = st.sampled_from(
    [b"", b"\x1f\x8b", b"PK\x03\x04", b"\x80\x04", b"\x80\x05", _idx_header(3)]
)
CHANGES = st.dictionaries(st.integers(0, 4_000), st.integers(0, 255), min_size=1, max_size=8)


def _changed(content: bytes, changes: dict[int, int]) -> bytes:
    changed = bytearray(content)
    for place, byte in changes.items():
        changed[place % len(changed)] = byte
    return bytes(changed)


def _spliced(content: bytes, start: int, end: int, piece: bytes) -> bytes:
    return content[:start] + piece + content[end:]


BYTES = (
    st.builds(bytes.__add__, STARTS, st.binary(max_size=200))
    | st.builds(_changed, WHOLE, CHANGES)
    | st.builds(
        _spliced, WHOLE, st.integers(0, 4_000), st.integers(0, 4_000), st.binary(max_size=50)
    )
)

# IDX: headers and bodies that almost fit.
SIDE = st.sampled_from([0, 1, 2, 3, 28, 255, 2**16, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)


def _idx(kind: int, dimensions: int, shape: list[int], body: bytes) -> bytes:
    return bytes([0, 0, kind, dimensions]) + struct.pack(f">{len(shape)}I", *shape) + body


IDX = st.builds(
    _idx,
    st.sampled_from([8] * 6 + [9, 11, 12, 13, 14, 0]),
    st.sampled_from([1, 3] * 4 + [0, 2, 4, 255]),
    st.lists(SIDE, max_size=4),
    st.binary(max_size=64) | st.integers(0, 2**20).map(bytes),
)

# .npz: members of any type, shape and order, or with headers of anything.
NUMPY_TYPES = st.sampled_from(
    [
        *("|u1", "|i1", "|b1", "<u2", ">u2", "<i4", ">i8", "<u8", "<f2", "<f4", ">f8", "<f16"),
        *("<c8", "<M8[s]", "<m8[D]", "|S1", "<U2", "|V3", "|V0", "|O"),
    ]
)
SHAPE = st.lists(st.integers(0, 6), max_size=4).map(tuple)
LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _array(dtype: str, shape: tuple[int, ...], fortran: bool) -> bytes:
    array = np.zeros(shape, dtype, order="F" if fortran else "C")
    if array.dtype.kind in "uif":
        array.flat[::2] = 3
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _described(description: Any, version: int, body: bytes) -> bytes:
    header = repr(description).encode()
    form = {1: "<H", 2: "<I", 3: "<I"}.get(version, "<I")
    length = len(header) & (0xFFFF if form == "<H" else 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(form, length) + header + body


DESCRIPTION = st.fixed_dictionaries(
    {
        "descr": NUMPY_TYPES | LITERALS,
        "fortran_order": st.booleans() | LITERALS,
        "shape": SHAPE | st.lists(SIDE, max_size=4).map(tuple) | LITERALS,
    }
)
MEMBER = (
    st.builds(_array, NUMPY_TYPES, SHAPE, st.booleans())
    | st.builds(
        _described, DESCRIPTION | LITERALS, st.sampled_from([1, 2, 3, 9]), st.binary(max_size=64)
    )
    | st.builds(_changed, st.builds(_array, NUMPY_TYPES, SHAPE, st.booleans()), CHANGES)
)
NAMES = ["images", "labels", "x_train", "y_train", "x_test", "y_test", "other", "../images", ""]


def _npz(members: dict[str, bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


NPZ = st.builds(
    _npz,
    st.dictionaries(st.sampled_from(NAMES), MEMBER, max_size=4),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_BZIP2]),
)

# Pickles: programs of whatever instructions, about the names that are admitted.
STATE = st.lists(LITERALS, max_size=8).map(tuple)
FRAGMENTS = st.one_of(
    st.sampled_from([bytes([opcode]) for opcode in pickle._Unpickler.dispatch]),
    st.sampled_from([b"0", b"1", b"2", b"(", b"t", b")", b"}", b"]", b"\x8f", b"R", b"b", b"\x94"]),
    st.sampled_from([b"s", b"u", b"d", b"a", b"e", b"\x81", b"\x85", b"\x86", b"\x90", b"\x91"]),
    st.integers(0, 9).map(lambda index: b"h" + bytes([index])),
    st.sampled_from(
        [
            *(DTYPE, b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"cos\nsystem\n"),
            *(b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy._core.numeric\n_frombuffer\n"),
        ]
    ),
    (LITERALS | STATE).map(_instructions),
    st.builds(_Images, st.just(PLAIN), SHAPE | STATE, st.binary(max_size=64) | LITERALS).map(
        _instructions
    ),
    st.sampled_from(["images", "labels"]).map(_instructions),
)


def _program(fragments: list[bytes], whole: bool) -> bytes:
    arrays = FORMATS["pickle 2"]["images"][2:-1] if whole else b""
    return b"\x80\x04" + b"".join(fragments) + arrays + b"."


PICKLE = st.builds(_program, st.lists(FRAGMENTS, max_size=20), st.booleans())
STRUCTURED = IDX | IDX.map(gzip.compress) | NPZ | PICKLE
ANY = BYTES | STRUCTURED


@given(content=ANY, kind=st.sampled_from(KINDS), part=st.sampled_from(["train", "test"]))
def test_no_file_whatever_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: Kind, part: Part
) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever"
    path.write_bytes(content)
    with peak_below(MEMORY):
        try:
            array = readers.read(path, kind, part)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - some changes do no harm
            assert str(error).isprintable()  # noqa: PT017
            event("refused")
        else:
            assert isinstance(array, np.ndarray)
            event("read")


# Small enough that what Hypothesis makes fits it at times.
SMALL = np.arange(6 * 9, dtype=np.uint8).reshape(6, 3, 3)
SMALL_LABELS = np.array([0, 1, 0, 1, 0, 1], np.uint8)
ROLES = ("train_images", "train_labels", "test_images", "test_labels")


SOUND = pickle.dumps({"images": SMALL, "labels": SMALL_LABELS})
NEARLY = st.sampled_from([np.dtype(name) for name in ("u1", "i1", "<u2", ">i4", "f2", "f8", "f16")])


@st.composite
def _nearly_sound(draw: st.DrawFn) -> bytes:
    """Images and labels of odd types, shapes, orders and values, whole as a file."""
    count = draw(st.integers(0, 8))
    side = draw(st.integers(0, 4))
    shape = (count, side, side + draw(st.sampled_from([0, 0, 0, 1])))
    order: Any = draw(st.sampled_from(["C", "F"]))
    with np.errstate(all="ignore"):
        images = np.zeros(shape).astype(draw(NEARLY), order=order)
        labels = np.zeros(count + draw(st.sampled_from([0, 0, 0, 1]))).astype(draw(NEARLY))
        for array in (images, labels):
            values = draw(st.lists(st.floats(width=16) | st.integers(-2, 300), max_size=6))
            room = array.reshape(-1)[: len(values)]
            room[...] = np.array(values, "f8")[: len(room)].astype(array.dtype)
            array.reshape(-1)[: len(room)] = room
    arrays = {"images": images, "labels": labels}
    if draw(st.booleans()):
        return pickle.dumps(arrays, draw(st.integers(2, 5)))
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


FILE = st.just(SOUND) | _nearly_sound() | STRUCTURED | BYTES


@given(
    contents=st.lists(FILE, min_size=4, max_size=4) | FILE.map(lambda content: [content] * 4),
    together=st.booleans(),
    transpose=st.booleans(),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_a_dataset_is_one_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    contents: list[bytes],
    together: bool,
    transpose: bool,
    fraction: float,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    names = ["one"] * 4 if together else ROLES
    paths = {role: folder / name for role, name in zip(ROLES, names, strict=True)}
    for path, content in zip(paths.values(), contents, strict=True):
        path.write_bytes(content)
    section = sources(
        folder,
        **{role: str(path) for role, path in paths.items()},
        test_fraction=fraction,
        transpose=transpose,
    )
    with peak_below(MEMORY):
        try:
            dataset = preparation.read(section, 42, unheard)
        except DataError as error:
            assert str(error).isprintable()  # noqa: PT017 - some files are sound
            event("refused")
            return
        event("read")
        _assert_sound(dataset)
        assert preparation.summary(dataset)["train_images"] == len(dataset.train_images)


def _assert_sound(dataset: datasets.Dataset) -> None:
    side, classes = dataset.side, len(dataset.classes)
    assert 2 <= classes <= 256
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        assert images.dtype == labels.dtype == np.uint8
        assert images.shape == (len(labels), side, side)
        assert images.size > 0
        assert labels.max() < classes
    assert set(dataset.train_labels.tolist()) == set(range(classes))


# The forms that came later: each whole, changed, cut and spliced.
PNG = png(SMALL[0])
LATER: dict[str, bytes] = {
    "csv": b"label,a,b,c,d\n" + b"\n".join(b"%d,0,1,2,255" % (row % 2) for row in range(6)),
    "csv without a header": b"\n".join(b"%d,0,1,2,255" % (row % 2) for row in range(6)),
    "csv of names": b"\n".join(b"%b,0,1,2,255" % name for name in [b"cat", b"dog"] * 3),
    "parquet": written({"image": [PNG] * 6, "label": SMALL_LABELS}),
    "parquet as a hub has it": written(
        {"image": [{"bytes": PNG, "path": None}] * 6, "label": ["a", "b"] * 3},
        compression="zstd",
    ),
    "png": PNG,
    "png in colour": saved(np.stack([SMALL[0]] * 3, axis=2)),
    "png of a palette": saved(SMALL[0], "P"),
    "jpeg": saved(SMALL[0], form="JPEG"),
    "npy": _array("<f4", (6, 9), False),
    "pairs": pickle.dumps(((SMALL, SMALL_LABELS), (SMALL, SMALL_LABELS))),
    "pairs of Python 2": pickle.dumps(((SMALL / 255, SMALL_LABELS),) * 3, 2),
    "lists": pickle.dumps({"data": SMALL.tolist(), "target": SMALL_LABELS.tolist()}),
    "lists of protocol 0": pickle.dumps({"x": SMALL.tolist(), "y": ["a", "b"] * 3}, 0),
    "objects": pickle.dumps({"data": SMALL, "target": np.array(["a", "b"] * 3, object)}),
    "npz of parts": _npz(
        {
            "train_images": _array("<f8", (6, 9), False),
            "train_labels": _array("<i8", (6, 1), False),
            "val_images": _array("|u1", (6, 3, 3, 1), False),
            "val_labels": _array("<U2", (6,), False),
        },
        zipfile.ZIP_STORED,
    ),
}
FORM = st.sampled_from(list(LATER))
BYTE_AT = st.tuples(st.integers(0, 10**4), st.integers(0, 255))


def _spoilt(content: bytes, changes: list[tuple[int, int]], kept: int, packed: bool) -> bytes:
    changed = _changed(content, dict(changes))[: kept or None]
    return gzip.compress(changed) if packed else changed


@given(
    form=FORM,
    changes=st.lists(BYTE_AT, max_size=6),
    kept=st.just(0) | st.integers(0, 4_000),
    packed=st.booleans(),
    to_grey=st.booleans(),
    validation=st.sampled_from(["leave_out", "train", "test"]),
)
def test_a_file_of_a_later_form_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    form: str,
    changes: list[tuple[int, int]],
    kept: int,
    packed: bool,
    to_grey: bool,
    validation: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "later"
    path.write_bytes(_spoilt(LATER[form], changes, kept, packed))
    section = sources(path, to_grey=to_grey, validation=validation)
    with peak_below(MEMORY):
        for look in (lambda: preparation.read(section, 42, unheard), lambda: inspect(path)):
            try:
                found = look()
            except DataError as error:
                assert str(error).startswith(f"{path}: ")  # noqa: PT017
                assert str(error).isprintable()  # noqa: PT017
                event("refused")
            else:
                event("read")
                if isinstance(found, datasets.Dataset):
                    _assert_sound(found)


NAMES_OF_FILES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@given(
    tree=st.dictionaries(
        NAMES_OF_FILES,
        st.sampled_from(["folder", "file"])
        | st.dictionaries(NAMES_OF_FILES, st.sampled_from([*LATER, "folder"]), max_size=3),
        max_size=4,
    )
)
def test_a_folder_of_whatever_is_read_or_refused(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, held in tree.items():
            if held == "file":
                (root / name).write_bytes(PNG)
                continue
            (root / name).mkdir()
            for inner, form in {} if held == "folder" else held.items():
                if form == "folder":
                    (root / name / inner).mkdir()
                else:
                    (root / name / inner).write_bytes(LATER[form])
        try:
            preparation.read(sources(root), 42, unheard)
        except DataError as error:
            assert str(error).isprintable()  # noqa: PT017
            event("refused")
        else:
            event("read")
