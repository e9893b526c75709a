"""Dataset files: every format is read, nothing in a file is run, and no file is trusted."""

import gzip
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing._private.utils import runstring

from pipeline.data.files import readers
from pipeline.data.files.holding import Array, Kind
from pipeline.data.files.source_file import ALWAYS_ALLOWED
from pipeline.errors import DataError
from tests.users import as_nobody

MNIST = Path(__file__).parents[2] / "data" / "raw" / "mnist.pkl"
KINDS: tuple[Kind, ...] = ("images", "labels")
ARRAYS: dict[Kind, Array] = {kind: readers.read(MNIST, kind, "train")[:3] for kind in KINDS}
Files = dict[Kind, bytes]  # what to write where images, or labels, are asked for


def _pickled(protocol: int) -> Files:
    content = pickle.dumps(ARRAYS, protocol)
    return {"images": content, "labels": content}


def _npz(save: Callable[..., None], images: str, labels: str) -> Files:
    file = io.BytesIO()
    save(file, **{images: ARRAYS["images"], labels: ARRAYS["labels"]})
    return {"images": file.getvalue(), "labels": file.getvalue()}


def _idx_header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def _idx() -> Files:
    return {kind: _idx_header(*array.shape) + array.tobytes() for kind, array in ARRAYS.items()}


def _gzipped(files: Files) -> Files:
    return {kind: gzip.compress(content) for kind, content in files.items()}


def _as_numpy_1_wrote_it(files: Files) -> Files:
    return {kind: content.replace(b"numpy._core", b"numpy.core") for kind, content in files.items()}


FORMATS: dict[str, Files] = {
    **{f"pickle {protocol}": _pickled(protocol) for protocol in range(2, 6)},
    "pickle of NumPy 1": _as_numpy_1_wrote_it(_pickled(2)),
    "npz": _npz(np.savez, "images", "labels"),
    "npz as Keras names it": _npz(np.savez, "x_train", "y_train"),
    "npz compressed": _npz(np.savez_compressed, "x_train", "y_train"),
    "idx": _idx(),
    "idx gzipped": _gzipped(_idx()),
}
every_format = pytest.mark.parametrize("files", FORMATS.values(), ids=FORMATS)
either_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "digits.txt"


def _refusal(path: Path, content: bytes, kind: Kind = "images") -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        readers.read(path, kind, "train")
    complaint = str(caught.value)
    assert complaint.startswith(f"{path}: ")
    assert len(complaint.splitlines()) == 1
    return complaint


@either_kind
@every_format
def test_every_format_is_told_by_its_content(path: Path, files: Files, kind: Kind) -> None:
    path.write_bytes(files[kind])
    read = readers.read(path, kind, "train")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, ARRAYS[kind])


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("dtype", [">u2", "<i8", "f4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_pickled_array_keeps_its_values_in_every_type_and_layout(
    path: Path, protocol: int, dtype: str, order: Any
) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    path.write_bytes(pickle.dumps({"images": array}, protocol))
    read = readers.read(path, "images", "train")
    assert read.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(read, array)


def test_each_part_of_an_npz_is_read_by_its_name(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x_train=[1], y_train=[2], x_test=[3], y_test=[4])
    assert readers.read(path, "images", "train").tolist() == [1]
    assert readers.read(path, "labels", "train").tolist() == [2]
    assert readers.read(path, "images", "test").tolist() == [3]
    assert readers.read(path, "labels", "test").tolist() == [4]
    assert readers.source(path).holding.parts == ("train", "test")


@either_kind
@every_format
def test_no_other_file_has_a_test_part(path: Path, files: Files, kind: Kind) -> None:
    path.write_bytes(files[kind])
    assert "test" not in readers.source(path).holding.parts


class _Reduced:
    """Pickles as a call of `function`, which runs when the pickle is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


ATTACKS: dict[str, Callable[[str], _Reduced]] = {
    "os.system": lambda target: _Reduced(os.system, f"touch {target}"),
    "builtins.eval": lambda target: _Reduced(eval, f"open({target!r}, 'w').close()"),
    "a method": lambda target: _Reduced(Path.touch, Path(target)),
    "numpy.memmap": lambda target: _Reduced(np.memmap, target, "u1", "w+", 0, (1,)),
    "numpy.savetxt": lambda target: _Reduced(np.savetxt, target, [1]),
    "subprocess.check_call": lambda target: _Reduced(subprocess.check_call, ["touch", target]),
    "a function that NumPy's tests have": lambda target: _Reduced(
        runstring, f"open({target!r}, 'w').close()", {}
    ),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "alone": lambda attack: attack,
    "as the images": lambda attack: ARRAYS | {"images": attack},
    "beside the arrays": lambda attack: ARRAYS | {"more": [{"inner": attack}]},
    "in an array of objects": lambda attack: ARRAYS | {"labels": np.array([attack, 1])},
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_pickle_runs_nothing(
    path: Path, attack: Callable[[str], _Reduced], place: Callable[[Any], Any]
) -> None:
    target = path.with_name("target")
    content = pickle.dumps(place(attack(str(target))))
    pickle.loads(content)  # noqa: S301 - the attack must work, or the test would show nothing
    target.unlink()

    _refusal(path, content)
    assert not target.exists()


def _instructions(value: Any) -> bytes:
    """What puts `value` on the stack of an unpickler."""
    return pickle.dumps(value, 2)[2:-1]


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "builtins.getattr", "copyreg._reconstructor"),
        *("numpy.load", "numpy.fromfile", "numpy.memmap", "numpy.f2py.run_main"),
        *("numpy.testing._private.utils.runstring", "numpy.lib.format.read_array"),
        *("numpy._core.multiarray.fromfile", "numpy._core.numeric.fromfile"),
        *("_codecs.decode", "codecs.open", "importlib.import_module"),
    ],
)
@pytest.mark.parametrize("how", ["GLOBAL", "STACK_GLOBAL", "INST"])
def test_a_name_that_arrays_do_not_need_is_told(path: Path, name: str, how: str) -> None:
    module, _, attribute = name.rpartition(".")
    instructions = {
        "GLOBAL": f"c{module}\n{attribute}\n".encode(),
        "STACK_GLOBAL": _instructions(module) + _instructions(attribute) + pickle.STACK_GLOBAL,
        "INST": f"(i{module}\n{attribute}\n".encode(),
    }
    told = _refusal(path, b"\x80\x04" + instructions[how] + pickle.STOP)
    assert f"found a reference to {name}, which is not needed for arrays" in told


def test_what_a_file_puts_into_a_message_stays_in_its_line(path: Path) -> None:
    hostile = "os\n\x1b[2J" + "x" * 5000
    names = _instructions(hostile) + _instructions("system")
    told = _refusal(path, b"\x80\x04" + names + pickle.STACK_GLOBAL + pickle.STOP)
    assert told.isprintable()
    assert r"os \x1b[2Jxxx" in told
    assert len(told) < 3000
    assert _refusal(path, _npz(np.savez, "a\nb", "c\x1b[2J")["images"]).isprintable()


DTYPE = b"cnumpy\ndtype\n"
STATE_OF_A_FUNCTION = pickle.NONE + _instructions({"__defaults__": ("f8",)}) + pickle.TUPLE2


@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(b"cnumpy\ndtype.__class__\n", id="attribute of an admitted name"),
        pytest.param(b"cnumpy\nndarray.tofile\n", id="method of an admitted name"),
        pytest.param(b"cpipeline.readers\npickle\n", id="what this package imports"),
        pytest.param(b"cnumpy\nndarray\n" + _instructions((10**12,)) + b"R", id="ndarray called"),
        pytest.param(DTYPE + STATE_OF_A_FUNCTION + pickle.BUILD, id="state set on a function"),
        pytest.param(DTYPE + _instructions(("O", False, True)) + b"R", id="dtype of objects"),
        pytest.param(b"Pname\n", id="persistent id"),
        pytest.param(pickle.EXT1 + b"\x01", id="registered extension"),
        pytest.param(DTYPE + _instructions(([("a", "O")],)) + b"R", id="dtype of fields"),
        pytest.param(DTYPE + _instructions(({"names": [], "formats": []},)) + b"R", id="no fields"),
        pytest.param(DTYPE + _instructions(("u1,O",)) + b"R", id="dtype of records"),
        pytest.param(pickle.NEXT_BUFFER, id="buffer from outside"),
        pytest.param(
            b"c_codecs\nencode\n" + _instructions(("text", "utf-16")) + b"R", id="another encoding"
        ),
    ],
)
def test_a_pickle_may_do_no_more_than_arrays_need(path: Path, instructions: bytes) -> None:
    arrays = _instructions(ARRAYS)
    path.write_bytes(b"\x80\x04" + instructions + pickle.POP + arrays + pickle.STOP)
    with pytest.raises(DataError):
        readers.read(path, "images", "train")


REBUILD: Any = np.empty(0).__reduce__()[0]


class _Type:
    """Pickles as the type of bytes, then given `state`."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return np.dtype, ("u1", False, True), self.state


class _Images:
    """Pickles as an array of `dtype`, then given `data`."""

    def __init__(self, dtype: _Type, shape: tuple[int, ...], data: Any) -> None:
        self.state = (1, shape, dtype, False, data)

    def __reduce__(self) -> Any:
        return REBUILD, (np.ndarray, (0,), b"b"), self.state


EIGHT = b"\x01" * 8
SCALAR: Any = np.uint8(5).__reduce__()[0]
PLAIN = _Type(3, "|", None, None, None, -1, -1, 0)
BYTE = np.dtype("u1")
ARRAY_STATES = {
    "a field far beyond the data": _Images(
        _Type(3, "|", None, ("a",), {"a": (BYTE, 10**8)}, -1, -1, 0), (8,), EIGHT
    ),
    "elements larger than the data": _Images(
        _Type(3, "|", (BYTE, (10**6,)), None, None, -1, -1, 0), (8,), EIGHT
    ),
    "elements that are references": _Images(
        _Type(3, "|", None, None, None, -1, -1, 63), (8,), [1] * 8
    ),
    "a state too short": _Images(_Type(3, "|", None, -1, -1, 0), (8,), EIGHT),
    "more elements than data": _Images(PLAIN, (9,), EIGHT),
    "fewer elements than data": _Images(PLAIN, (7,), EIGHT),
    "a negative size": _Images(PLAIN, (-2, -4), EIGHT),
    "a list as data": _Images(PLAIN, (8,), [1] * 8),
    "a list as shape": _Images(PLAIN, [8], EIGHT),  # type: ignore[arg-type]
    "a shape of no counts": _Images(PLAIN, (8.0,), EIGHT),  # type: ignore[arg-type]
    "a shape of tuples": _Images(PLAIN, ((8,),), EIGHT),  # type: ignore[arg-type]
    "a size beyond any integer": _Images(PLAIN, (10**5000,), EIGHT),
    "no type": _Images(None, (8,), EIGHT),  # type: ignore[arg-type]
}


SCALARS = {
    "of objects": _Reduced(SCALAR, np.dtype("O"), [1]),
    "of no type": _Reduced(SCALAR, np.ndarray, b"\x05"),
    "longer than its data": _Reduced(SCALAR, np.dtype("f8"), b"\x05"),
    "shorter than its data": _Reduced(SCALAR, np.dtype("u1"), EIGHT),
    "of no data": _Reduced(SCALAR, np.dtype("u1"), None),
    "of fields": _Reduced(
        SCALAR, _Type(3, "|", None, ("a",), {"a": (BYTE, 9)}, -1, -1, 0), b"\x05"
    ),
}


@pytest.mark.parametrize("scalar", SCALARS.values(), ids=SCALARS)
def test_a_pickled_number_that_does_not_fit_its_data_is_refused(
    path: Path, scalar: _Reduced
) -> None:
    _refusal(path, pickle.dumps({"labels": [scalar], "images": ARRAYS["images"]}))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", [">u2", "i8", "f4", "U4"])
def test_a_list_of_what_an_array_had_is_that_array(path: Path, protocol: int, dtype: str) -> None:
    labels = np.arange(4).astype(dtype)
    listed = [*labels]
    path.write_bytes(pickle.dumps({"labels": listed, "images": [*ARRAYS["images"]]}, protocol))
    np.testing.assert_array_equal(readers.read(path, "labels", "train"), labels)
    np.testing.assert_array_equal(readers.read(path, "images", "train"), ARRAYS["images"])


@pytest.mark.parametrize("protocol", range(6))
def test_an_array_of_arrays_is_one(path: Path, protocol: int) -> None:
    images = np.empty(len(ARRAYS["images"]), object)
    images[:] = [*ARRAYS["images"]]
    path.write_bytes(pickle.dumps({"images": images}, protocol))
    np.testing.assert_array_equal(readers.read(path, "images", "train"), ARRAYS["images"])


@either_kind
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_one_array_is_what_it_can_be(path: Path, protocol: int, kind: Kind) -> None:
    path.write_bytes(pickle.dumps(ARRAYS[kind], protocol))
    np.testing.assert_array_equal(readers.read(path, kind, "train"), ARRAYS[kind])
    assert readers.source(path).holding.either == (kind == "images")


def test_of_many_names_some_are_told(path: Path) -> None:
    told = _refusal(path, pickle.dumps({f"pixel{index}": [1] for index in range(784)}))
    assert "pixel11 and 772 more, expected images of all" in told


def test_a_pickled_array_may_be_of_plain_bytes(path: Path) -> None:
    path.write_bytes(pickle.dumps({"images": _Images(PLAIN, (8,), EIGHT)}))
    assert readers.read(path, "images", "train").tolist() == [1] * 8


@pytest.mark.parametrize("images", ARRAY_STATES.values(), ids=ARRAY_STATES)
def test_a_pickled_array_that_does_not_fit_its_data_is_refused(path: Path, images: _Images) -> None:
    _refusal(path, pickle.dumps({"images": images}))


@either_kind
@every_format
def test_a_file_cut_short_anywhere_is_refused(path: Path, files: Files, kind: Kind) -> None:
    whole = files[kind]
    for length in {*range(0, len(whole), 1 + len(whole) // 60), len(whole) - 1}:
        _refusal(path, whole[:length], kind)


@either_kind
@every_format
def test_a_file_that_starts_otherwise_is_refused(path: Path, files: Files, kind: Kind) -> None:
    for start in (b"", b"\x00", b"GIF8", b"\x93NUMPY"):
        _refusal(path, start + files[kind][4:], kind)
    other = {"images": "labels", "labels": "images"}
    if files[kind] != files[other[kind]]:  # type: ignore[index]
        _refusal(path, files[other[kind]], kind)  # type: ignore[index]


CLAIMED = 10**10  # bytes


def _npz_member(header: bytes, data: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            "images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
        )
    return file.getvalue()


def _npz_claiming(count: int) -> bytes:
    description = {"descr": "|u1", "fortran_order": False, "shape": (count, 1, 1)}
    return _npz_member(repr(description).encode(), b"x" * 1000)


def _npz_packed(compression: int, zeros: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("images.npy", bytes(zeros))
    return file.getvalue()


CLAIMS = {
    "idx": _idx_header(CLAIMED // 1000, 1000, 1) + b"x" * 1000,
    "idx gzipped": gzip.compress(_idx_header(CLAIMED // 1000, 1000, 1) + b"x" * 1000),
    "npz": _npz_claiming(CLAIMED),
    "npz beyond any memory": _npz_claiming(10**15),
    "pickled array": pickle.dumps({"images": _Images(PLAIN, (CLAIMED,), b"x" * 1000)}),
    "pickled array before it has data": pickle.dumps(
        _Reduced(REBUILD, np.ndarray, (CLAIMED,), b"b")
    ),
    "pickled bytes": b"\x80\x05" + pickle.BINBYTES8 + struct.pack("<Q", CLAIMED) + b"x" * 1000,
    # A byte array is filled with zeros when it is made: a tenth, so that a failure is survivable.
    "pickled byte array": (
        b"\x80\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", CLAIMED // 10) + b"x" * 1000
    ),
    "pickle frame": b"\x80\x04" + pickle.FRAME + struct.pack("<Q", CLAIMED) + b"x" * 1000,
    "pickle memo": b"\x80\x04N" + pickle.LONG_BINPUT + struct.pack("<I", 2**31) + b".",
}


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_memory_follows_what_a_file_holds_not_what_it_claims(path: Path, content: bytes) -> None:
    assert len(content) < 2_000
    tracemalloc.start()
    try:
        _refusal(path, content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


def _deflated(start: bytes, zeros: int, window: int) -> bytes:
    """`start` and then `zeros` zeros: a megabyte of them packed once, and repeated as packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + megabyte * (zeros // 2**20) + packer.flush()


def _npz_of(deflated: bytes, claimed: int) -> bytes:
    """An .npz that claims to expand `deflated` to `claimed` bytes."""
    name = b"images.npy"
    sizes = struct.pack("<3I", 0, len(deflated), claimed)
    local = b"PK\x03\x04" + struct.pack("<5H", 20, 0, 8, 0, 0) + sizes
    local += struct.pack("<2H", len(name), 0) + name
    central = b"PK\x01\x02" + struct.pack("<6H", 20, 20, 0, 8, 0, 0) + sizes
    central += struct.pack("<5H2I", len(name), 0, 0, 0, 0, 0, 0) + name
    start = len(local) + len(deflated)
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central), start, 0)
    return local + deflated + central + end


def _npy_header(count: int) -> bytes:
    file = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (count, 1024, 1024)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


GIGABYTE, MEGABYTE = 2**30, 2**20
RAW, GZIPPED = -15, 31  # what zlib calls the two forms
NPY = _deflated(_npy_header(1024), GIGABYTE, RAW)
HEADER = len(_npy_header(1024))
BOMBS = {
    "npz of 1 GB": (_npz_of(NPY, HEADER + GIGABYTE), "expected at most"),
    "npz of 1 GB that claims 1 MB": (_npz_of(NPY, HEADER + MEGABYTE), "not a readable .npz"),
    "npz of 1 MB that claims 4 GB": (
        _npz_of(_deflated(_npy_header(1), MEGABYTE, RAW), 2**32 - 2),
        "expected at most",
    ),
    "npz that claims 1 MB, and 10 GB inside": (
        _npz_of(_deflated(_npy_header(10_000), MEGABYTE, RAW), HEADER + MEGABYTE),
        "not a readable .npz",
    ),
    "gzipped idx of 10 GB": (
        _deflated(_idx_header(10 * 1024, 1024, 1024), 10 * GIGABYTE, GZIPPED),
        "expected at most",
    ),
    "gzipped idx of 1 GB that claims 1 MB": (
        _deflated(_idx_header(1, 1024, 1024), GIGABYTE, GZIPPED),
        "claims 1048576 bytes for (1, 1024, 1024), found more",
    ),
    "npz packed by LZMA": (
        _npz_packed(zipfile.ZIP_LZMA, 16 * MEGABYTE),
        "another compression than deflate",
    ),
    "npz packed by bzip2": (
        _npz_packed(zipfile.ZIP_BZIP2, 16 * MEGABYTE),
        "another compression than deflate",
    ),
    # A megabyte of text, encoded 10,000 times.
    "pickle of one text as bytes again and again": (
        b"\x80\x04"
        + _instructions(("x" * MEGABYTE, "latin1"))  # kept under 2
        + b"c_codecs\nencode\n\x94("  # under 3
        + b"h\x03h\x02R" * 10_000
        + b"t.",
        "encodes text",
    ),
}


@pytest.mark.parametrize(("content", "told"), BOMBS.values(), ids=BOMBS)
def test_a_small_file_does_not_fill_the_memory(path: Path, content: bytes, told: str) -> None:
    assert len(content) < 12 * MEGABYTE
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            readers.read(path, "images", "train")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told in str(caught.value)
    assert peak < 10 * MEGABYTE


def test_labels_are_no_bomb_either(path: Path) -> None:
    bomb = _deflated(_idx_header(GIGABYTE), GIGABYTE, GZIPPED)
    assert f"found an array of {GIGABYTE} bytes, expected at most" in _refusal(path, bomb, "labels")


@pytest.mark.parametrize("depth", [100])
@pytest.mark.parametrize("place", ["key", "member of a set", "shape", "type"])
def test_a_pickle_that_names_itself_twice_at_each_level_does_not_take_forever(
    path: Path, place: str, depth: int
) -> None:
    nested = b")" + (pickle.DUP + pickle.TUPLE2) * depth  # a hash of 2 ** depth steps
    document = {
        "key": b"}" + nested + b"Ns",
        "member of a set": b"\x8f(" + nested + b"\x90",
        "shape": b"cnumpy._core.numeric\n_frombuffer\n(NN" + nested + b"NtR",
        "type": b"cnumpy\ndtype\n(" + nested + b"tR",
    }
    _refusal(path, b"\x80\x04" + document[place] + b".")


def test_what_packs_well_and_is_small_is_read(path: Path) -> None:
    images = np.zeros((200, 256, 256), np.uint8)
    images[range(200), range(200), range(200)] = 255  # a dot each
    labels = np.repeat(np.arange(10), 20)
    np.savez_compressed(path.with_suffix(".npz"), images=images, labels=labels)
    assert path.with_suffix(".npz").stat().st_size < images.size / 500
    np.testing.assert_array_equal(readers.read(path.with_suffix(".npz"), "images", "train"), images)
    np.testing.assert_array_equal(readers.read(path.with_suffix(".npz"), "labels", "train"), labels)
    path.write_bytes(gzip.compress(_idx_header(*images.shape) + images.tobytes()))
    np.testing.assert_array_equal(readers.read(path, "images", "train"), images)


def test_reading_takes_little_more_memory_than_the_array(path: Path) -> None:
    count = ALWAYS_ALLOWED // MEGABYTE - 1
    for content in (
        _deflated(_idx_header(count, 1024, 1024), count * MEGABYTE, GZIPPED),
        _npz_of(_deflated(_npy_header(count), count * MEGABYTE, RAW), HEADER + count * MEGABYTE),
    ):
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="CRC"):  # they have none, so all of it was read
                readers.read(path, "images", "train")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1.5 * ALWAYS_ALLOWED


BROKEN = {
    "empty": b"",
    "text": b"five zero four",
    "idx of 32-bit numbers": bytes([0, 0, 12, 3]) + bytes(12),
    "idx of two dimensions": _idx_header(1, 4) + bytes(4),
    "idx of labels": FORMATS["idx"]["labels"],
    "idx of labels, gzipped": FORMATS["idx gzipped"]["labels"],
    "idx with a byte too many": FORMATS["idx"]["images"] + b"x",
    "idx with a byte too many, gzipped": gzip.compress(FORMATS["idx"]["images"] + b"x"),
    "idx of one image more": _idx_header(4, 28, 28) + ARRAYS["images"].tobytes(),
    "idx of no images of a size beyond any memory": _idx_header(0, 2**32 - 1, 2**32 - 1),
    "gzip of text": gzip.compress(b"five zero four"),
    "gzip followed by text": FORMATS["idx gzipped"]["images"] + b"five zero four",
    "npz of other names": _npz(np.savez, "pictures", "names")["images"],
    "npz of nothing": b"PK\x05\x06".join([b"PK\x03\x04", bytes(18)]),
    "npz with a header that is no header": _npz_member(b"{'descr': ("),
    "npz with a negative shape": _npz_claiming(-1),
    "pickle of a list": pickle.dumps([ARRAYS["images"]]),
    "pickle of other names": pickle.dumps({"pictures": ARRAYS["images"]}),
    "pickle of ragged lists": pickle.dumps({"images": [[1, 2], [3]]}),
    "pickle of mixed lists": pickle.dumps({"images": [1, "2"]}),
    "pickle of whole numbers beyond any type": pickle.dumps({"images": [[2**70, 2**70]]}),
    "pickle of three arrays": pickle.dumps((ARRAYS["images"],) * 3),
    "pickle of four pairs": pickle.dumps(((ARRAYS["images"], ARRAYS["labels"]),) * 4),
    "pickle of a number": pickle.dumps(5),
    "pickle of objects": pickle.dumps({"images": np.array([{}, None])}),
    "pickle of records": pickle.dumps({"images": np.zeros(3, "u1,u1")}),
    "pickle of a masked array": pickle.dumps({"images": np.ma.masked_array([5, 0])}),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_holds_no_images_is_refused(path: Path, content: bytes) -> None:
    _refusal(path, content)


def test_pickled_objects_in_an_npz_are_refused(path: Path) -> None:
    target = path.with_name("target")
    file = io.BytesIO()
    np.savez(file, images=np.array([_Reduced(os.system, f"touch {target}")]))
    _refusal(path, file.getvalue())
    assert not target.exists()


def _zip_patched(offset_in_local: int, offset_in_central: int, value: int) -> bytes:
    """An .npz whose first member's header has `value` at these offsets, in both its copies."""
    content = bytearray(FORMATS["npz"]["images"])
    content[offset_in_local] = value
    content[content.index(b"PK\x01\x02") + offset_in_central] = value
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_zip_patched(6, 8, 1), id="encrypted"),
        pytest.param(_zip_patched(8, 10, 99), id="unknown compression"),
        pytest.param(_zip_patched(4, 6, 99), id="later version"),
    ],
)
def test_an_npz_that_no_numpy_wrote_is_refused(path: Path, content: bytes) -> None:
    _refusal(path, content)


def test_what_was_found_and_what_was_expected_are_told(path: Path) -> None:
    told = _refusal(path, BROKEN["npz of other names"])
    assert told.endswith(
        "found pictures, names, expected images of all or of the train part, by a name as images "
        "or train_images"
    )
    assert "found labels, expected images" in _refusal(
        path, pickle.dumps({"labels": ARRAYS["labels"]})
    )
    assert "starts with b'five'" in _refusal(path, BROKEN["text"])
    assert "claims 3136 bytes for (4, 28, 28), found 2352" in _refusal(
        path, BROKEN["idx of one image more"]
    )


def test_a_missing_file_is_refused(path: Path) -> None:
    for kind in KINDS:
        with pytest.raises(DataError, match=f"^{path}: can't be read: .*No such file"):
            readers.read(path, kind, "train")


def test_a_file_that_may_not_be_read_is_refused(path: Path) -> None:
    path.write_bytes(FORMATS["npz"]["images"])
    path.chmod(0)
    with as_nobody(), pytest.raises(DataError, match="Permission denied"):
        readers.read(path, "images", "train")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(os.mkfifo, "a named pipe", id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "a device", id="endless device"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), "a device", id="empty device"),
    ],
)
def test_what_is_no_file_is_refused_and_not_waited_for(
    path: Path, make: Callable[[Path], object], found: str
) -> None:
    make(path)
    for kind in KINDS:
        with pytest.raises(DataError, match=f"^{path}: can't be read: found {found}, expected a"):
            readers.read(path, kind, "train")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "digits/more", "\udcff"])
def test_a_path_that_can_be_no_file_is_refused_in_one_printable_line(path: Path, name: str) -> None:
    path.touch()
    for kind in KINDS:
        with pytest.raises(DataError, match="can't be read: ") as caught:
            readers.read(Path(str(path).replace("digits.txt", name)), kind, "train")
        assert str(caught.value).isprintable()
