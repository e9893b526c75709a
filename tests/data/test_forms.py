"""Every row of data/README.md's tables, on files of that form that are made here of real digits."""

import gzip
import io
import json
import pickle
import re
import struct
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.commands import inspect
from pipeline.data import inspection
from pipeline.data.files import holding, preparation, readers
from pipeline.data.files.holding import Array, Kind
from pipeline.data.files.pixels import DIVISORS, levels
from pipeline.data.files.sources import Sources
from pipeline.errors import DataError
from tests.data.sections import sources, unheard

ROOT = Path(__file__).parents[2]
MNIST = ROOT / "data/raw/mnist.pkl"
KINDS: tuple[Kind, ...] = ("images", "labels")
IMAGES, LABELS = (readers.read(MNIST, kind, "train")[:120] for kind in KINDS)
TRAIN, VALIDATION, TEST = slice(0, 80), slice(80, 100), slice(100, 120)
WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def _scaled(part: slice, divisor: int = 255) -> Array:
    flat: Array = (IMAGES[part].reshape(-1, 784) / divisor).astype(np.float32)
    return flat


def _pickle(path: Path, value: Any, protocol: int = 4) -> None:
    content = pickle.dumps(value, protocol)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _idx(path: Path, array: Array) -> None:
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def png(pixels: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pickled_dict(folder: Path) -> None:
    _pickle(folder / "train.pkl", {"images": IMAGES[TRAIN], "labels": LABELS[TRAIN].tolist()})
    _pickle(folder / "test.pkl", {"images": IMAGES[TEST].tolist(), "labels": LABELS[TEST]})


def openml(folder: Path) -> None:
    target = LABELS[TRAIN].astype(str).astype(object)
    _pickle(folder / "openml.pkl", {"data": _scaled(TRAIN) * 255, "target": target})


def classic(folder: Path) -> None:
    parts = (TRAIN, VALIDATION, TEST)
    pairs = tuple((_scaled(part, 256), LABELS[part].astype(np.int64)) for part in parts)
    _pickle(folder / "mnist.pkl.gz", pairs, protocol=2)


def two_pairs(folder: Path) -> None:
    _pickle(folder / "pairs.pkl", ((IMAGES[TRAIN], LABELS[TRAIN]), (IMAGES[TEST], LABELS[TEST])))


def keras(folder: Path) -> None:
    np.savez(
        folder / "mnist.npz",
        x_train=IMAGES[TRAIN],
        y_train=LABELS[TRAIN],
        x_test=IMAGES[TEST],
        y_test=LABELS[TEST],
    )


def medmnist(folder: Path) -> None:
    np.savez(
        folder / "medmnist.npz",
        train_images=IMAGES[TRAIN],
        train_labels=LABELS[TRAIN, np.newaxis],
        val_images=IMAGES[VALIDATION],
        val_labels=LABELS[VALIDATION, np.newaxis],
        test_images=IMAGES[TEST],
        test_labels=LABELS[TEST, np.newaxis],
    )


def one_array(folder: Path) -> None:
    np.savez_compressed(folder / "train-imgs.npz", IMAGES[TRAIN])
    np.savez_compressed(folder / "train-labels.npz", LABELS[TRAIN])
    np.save(folder / "test-imgs.npy", IMAGES[TEST])
    np.save(folder / "test-labels.npy", LABELS[TEST])


def idx(folder: Path) -> None:
    _idx(folder / "train-images.gz", IMAGES[TRAIN])
    _idx(folder / "train-labels.gz", LABELS[TRAIN])
    _idx(folder / "test-images", IMAGES[TEST])
    _idx(folder / "test-labels", LABELS[TEST])


def csv(folder: Path) -> None:
    lines = [",".join(["label", *(f"pixel{index}" for index in range(784))])]
    for label, image in zip(LABELS[TRAIN], IMAGES[TRAIN], strict=True):
        lines.append(",".join(map(str, [label, *image.ravel()])))
    (folder / "train.csv").write_text("\n".join(lines))


def pictures(folder: Path) -> None:
    for part, chosen in (("train", TRAIN), ("test", TEST)):
        for index, (image, label) in enumerate(zip(IMAGES[chosen], LABELS[chosen], strict=True)):
            file = folder / "pictures" / part / WORDS[label] / f"{index:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))


def parquet(folder: Path) -> None:
    names = {"info": {"features": {"label": {"names": WORDS.tolist(), "_type": "ClassLabel"}}}}
    for part, chosen in (("train", TRAIN), ("test", TEST)):
        bytes_ = [{"bytes": png(image), "path": None} for image in IMAGES[chosen]]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns = {"image": pa.array(bytes_, kind), "label": LABELS[chosen].astype(np.int64)}
        written = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(names)})
        pyarrow.parquet.write_table(written, folder / f"{part}.parquet")


def colours(folder: Path) -> None:
    # Of these, the weights of a grey give the grey level back: they sum to 1.
    images = np.stack([IMAGES[TRAIN]] * 3, axis=3)
    images[0, 0, 0] = (255, 0, 0)
    np.savez(folder / "colours.npz", images=images, labels=LABELS[TRAIN])


def emnist(folder: Path) -> None:
    _idx(folder / "emnist-images", IMAGES[TRAIN].transpose(0, 2, 1))
    _idx(folder / "emnist-labels", LABELS[TRAIN])


FORMS: dict[str, Callable[[Path], None]] = {
    "pickled dict": pickled_dict,
    "scikit-learn's, OpenML's dict": openml,
    "the classic `mnist.pkl.gz`": classic,
    "two pairs": two_pairs,
    "`.npz` as Keras names it": keras,
    "`.npz` as MedMNIST names it": medmnist,
    "`.npz` or `.npy` of one array": one_array,
    "IDX": idx,
    "CSV": csv,
    "folder of pictures": pictures,
    "Parquet": parquet,
    "images in colour": colours,
    "EMNIST's IDX files": emnist,
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of data/README.md's table of that heading, by their first cell."""
    text = (ROOT / "data/README.md").read_text()
    rows = text.split(f"| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {first: rest for first, *rest in cells}


def section(lines: str, folder: Path) -> Sources:
    """What the lines of a row say, the rest as the page says it is."""
    given: dict[str, Any] = {}
    for line in re.findall(r"`([^`]+)`", lines):
        given |= YAML(typ="safe").load(line)
    for key, value in given.items():
        if key.endswith(("_images", "_labels")):
            given[key] = str(folder / Path(value).name)
    given.setdefault("train_labels", given["train_images"])
    given.setdefault("test_images", given["train_images"])
    given.setdefault(
        "test_labels",
        given["train_labels"]
        if given["test_images"] == given["train_images"]
        else given["test_images"],
    )
    return sources(folder, **given)


def test_every_form_of_the_page_is_tested() -> None:
    assert list(table("form")) == list(FORMS)


ALL = {"train": [TRAIN], "test": [TEST]}
HELD_OUT = {"both": [TRAIN]}  # what was one part, and is two now
EXPECTED = {
    **dict.fromkeys(FORMS, ALL),
    **dict.fromkeys(("scikit-learn's, OpenML's dict", "CSV"), HELD_OUT),
    **dict.fromkeys(("images in colour", "EMNIST's IDX files"), HELD_OUT),
    "the classic `mnist.pkl.gz`": {"train": [TRAIN, VALIDATION], "test": [TEST]},
    "`.npz` as MedMNIST names it": {"train": [TRAIN], "test": [VALIDATION]},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_by_the_lines_of_its_row(tmp_path: Path, form: str) -> None:
    FORMS[form](tmp_path)
    dataset = preparation.read(section(table("form")[form][-1], tmp_path), 42, unheard)
    names = WORDS if form in ("folder of pictures", "Parquet") else np.arange(10)
    assert [*dataset.classes] == sorted(names)
    images = IMAGES.copy()
    if form == "images in colour":
        images[0, 0, 0] = 76  # what is left of pure red
    found = {
        "train": labelled(dataset.train_images, dataset.classes[dataset.train_labels]),
        "test": labelled(dataset.test_images, dataset.classes[dataset.test_labels]),
    }
    found["both"] = sorted(found["train"] + found["test"])
    for part, slices in EXPECTED[form].items():
        wanted = [labelled(images[each], names[LABELS[each]]) for each in slices]
        assert found[part] == sorted(chain.from_iterable(wanted))


def labelled(images: Array, labels: Array) -> list[tuple[bytes, str]]:
    """Each image with what its class is called, in an order of their own."""
    return sorted(
        (image.tobytes(), str(label)) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("form", FORMS)
def test_what_is_told_of_a_form_reads_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m pipeline inspect` of its files, and then the section that it prints."""
    FORMS[form](tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = section(table("form")[form][-1], Path())
    before = set(tmp_path.rglob("*"))
    paths = (asked.train_images, asked.train_labels, asked.test_images, asked.test_labels)
    inspect.main(paths=[*map(Path, paths)], sheet=Path("sheet.png"))
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "sheet.png"}
    printed = capsys.readouterr().out
    told = YAML(typ="safe").load(printed.split("for params.yaml:\n\n")[1])["prepare"]
    assert told["train_images"] == asked.train_images
    assert told == asked.model_dump() | {"validation": "leave_out", "transpose": False}
    with Image.open("sheet.png") as sheet:
        assert min(sheet.size) > 300


def _meanings() -> dict[str, tuple[Array, Array, str]]:
    """By the first cell of the table: images and labels that mean the digits, and what is said."""
    plain, labels = IMAGES[TRAIN], LABELS[TRAIN]
    return {
        "images (n, side²), (n, side, side, 1), (n, 1, side, side)": (
            plain[:, np.newaxis],
            labels,
            "",
        ),
        "floats from 0 to 1 that are k/255": (_scaled(TRAIN), labels, "k/255"),
        "floats below 1 that are k/256, as the classic `mnist.pkl.gz` has them": (
            _scaled(TRAIN, 256),
            labels,
            "k/256",
        ),
        "colours whose red, green and blue are alike": (
            np.stack([plain] * 3, axis=1),
            labels,
            "grey images kept as colours",
        ),
        "labels (n, 1)": (plain, labels[:, np.newaxis], ""),
        "one-hot labels": (plain, np.eye(10)[labels], "one-hot labels taken as the numbers"),
        'labels "0", "1", … as text': (plain, labels.astype(str), "as text taken as numbers"),
        "other text, folders, a data hub's names": (plain, WORDS[labels], ""),
    }


def test_every_meaning_of_the_page_is_tested() -> None:
    assert list(table("found | taken as")) == list(_meanings())


@pytest.mark.parametrize("found", _meanings())
def test_a_meaning_is_taken_and_told(tmp_path: Path, found: str) -> None:
    images, labels, told = _meanings()[found]
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    notes: list[str] = []
    dataset = preparation.read(sources(tmp_path / "digits.npz"), 42, notes.append)
    assert len(notes) == bool(told)
    assert told in "".join(notes)
    names = WORDS if labels.dtype.kind == "U" and labels[0] in WORDS else np.arange(10)
    read = labelled(dataset.train_images, dataset.classes[dataset.train_labels])
    read += labelled(dataset.test_images, dataset.classes[dataset.test_labels])
    assert sorted(read) == labelled(IMAGES[TRAIN], names[LABELS[TRAIN]])


@pytest.mark.parametrize("shape", [(-1, 784), (-1, 28, 28, 1), (-1, 1, 28, 28)])
@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f4", "f8"])
def test_every_shape_and_type_of_images_means_the_same(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    for scale in (1, 255, 256) if dtype.startswith("f") else (1,):
        images = (IMAGES[TRAIN] / scale).astype(dtype).reshape(shape)
        np.savez(tmp_path / "digits.npz", images=images, labels=LABELS[TRAIN])
        dataset = preparation.read(sources(tmp_path / "digits.npz"), 42, unheard)
        found = {*map(bytes, dataset.train_images), *map(bytes, dataset.test_images)}
        assert found == {*map(bytes, IMAGES[TRAIN])}


@pytest.mark.parametrize("divisor", [255, 256])
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_what_floats_are_divided_by_is_decided_over_all_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, divisor: int
) -> None:
    images = IMAGES[TRAIN].copy()
    images[0] = np.where(images[0] > 127, 254, 0)  # in 16 bits, 254/255 is 255/256
    np.save(tmp_path / "digits.npy", (images / divisor).astype(dtype))
    monkeypatch.setattr(holding, "CHUNK_BYTES", 28 * 28 * np.dtype(dtype).itemsize)
    notes: list[str] = []
    found = levels(
        readers.source(tmp_path / "digits.npy").holding.images["all"],
        notes.append,
        to_grey=False,
        transpose=False,
    )
    np.testing.assert_array_equal(np.concatenate([*found]), images)
    assert notes == [DIVISORS[divisor]]


@pytest.mark.parametrize(
    ("white", "told"), [(np.s_[:1], "with fractions"), (np.s_[1:2], "expected 0 to 0.996094")]
)
def test_levels_of_256_are_below_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, white: slice, told: str
) -> None:
    images = (IMAGES[TRAIN] / 256).astype(np.float32)
    images[white, 0, 0] = 1
    np.savez(tmp_path / "digits.npz", images=images, labels=LABELS[TRAIN])
    monkeypatch.setattr(holding, "CHUNK_BYTES", images[0].nbytes)
    with pytest.raises(DataError, match=told):
        preparation.read(sources(tmp_path / "digits.npz"), 42, unheard)


def test_as_many_images_as_each_has_pixels_are_read_where_a_line_is_an_image(
    tmp_path: Path,
) -> None:
    small = IMAGES[:100, ::7, ::7].reshape(100, 16)
    lines = [
        ",".join(map(str, [*image, label])) for image, label in zip(small, LABELS, strict=False)
    ]
    header = ",".join([*(f"pixel{index}" for index in range(16)), "label"])
    (tmp_path / "a.csv").write_text("\n".join([header, *lines[:16]]))
    assert readers.read(tmp_path / "a.csv", "images", "train").shape == (16, 16)
    found = inspection.inspect(tmp_path / "a.csv").found
    assert [(one.images, one.side) for one in found] == [(16, 4)]


def _array(images: Array) -> Callable[[Path], None]:
    return lambda path: np.savez(path / "x.npz", images=images, labels=LABELS[: len(images)])


def _pictures(*contents: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        for name in ("five", "four"):
            (path / "x" / name).mkdir(parents=True)
            for index, content in enumerate([png(IMAGES[0]), *contents]):
                (path / "x" / name / f"{index}").write_bytes(content)

    return write


def _link(path: Path) -> None:
    _pictures()(path)
    (path / "outside").write_bytes(png(IMAGES[0]))
    (path / "x/five/link").symlink_to(path / "outside")


# By the first cell of the last table: what makes such a file, and the way out that it is told.
REFUSED: dict[str, list[tuple[Callable[[Path], object], str]]] = {
    "other fractions: standardised pixels, means of images": [
        (_array((IMAGES / 255 - 0.13) / 0.31), "expected 0 to 255"),
        (_array((IMAGES.astype(np.float32) + IMAGES[::-1]) / 2), "divided by 255 or by 256"),
    ],
    "floats, or a CSV's pixels, that are all 0 or 1": [
        (_array((IMAGES > 127).astype(np.float32)), "save them as 0 and 255"),
    ],
    "a CSV without names of columns, whose first and last both vary": [
        (
            lambda path: (path / "x").write_text("1,0,0,0,9\n2,0,0,0,7\n"),
            "expected a first line that calls one of them 'label'",
        ),
    ],
    "one array (n, n)": [(_array(IMAGES[0]), "reshape it to (count, side, side)")],
    "four arrays in a tuple, whose order nobody agrees on": [
        (
            lambda path: _pickle(path / "x.pkl", (IMAGES, IMAGES, LABELS, LABELS)),
            "a dict can name what it holds",
        )
    ],
    "pictures of several sizes, or not square": [
        (_pictures(png(IMAGES[0][:14, :14])), "28 x 28 as in the other pictures"),
        (lambda path: (path / "x").write_bytes(png(IMAGES[0][:14])), "square"),
    ],
    "pictures that are partly transparent, or of 16 bits": [
        (_pictures(png(np.dstack([IMAGES[0]] * 4))), "draw it on a background"),
        (_pictures(png(IMAGES[0].astype(np.uint16))), "convert it"),
    ],
    "a folder with other files among the pictures": [
        (_pictures(b"notes"), "five/1: not a readable picture"),
    ],
    "a link that leads out of a folder": [(_link, "copy the file")],
}


def test_every_refusal_of_the_page_is_tested() -> None:
    assert list(table("found | what to do")) == list(REFUSED)


@pytest.mark.parametrize(
    ("write", "told"),
    [pytest.param(*case, id=row) for row, cases in REFUSED.items() for case in cases],
)
def test_what_may_be_two_things_is_refused_with_the_way_out(
    tmp_path: Path, write: Callable[[Path], object], told: str
) -> None:
    write(tmp_path)
    (path,) = tmp_path.glob("x*")
    with pytest.raises(DataError, match=f"^{path}: .*{re.escape(told)}"):
        preparation.read(sources(path), 42, unheard)
