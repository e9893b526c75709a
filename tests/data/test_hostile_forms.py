"""Pictures, folders, CSV, Parquet and lists that mean harm: one line each, in little memory."""

import gzip
import io
import json
import os
import pickle
import resource
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import ExifTags, Image

from pipeline.data.files import pictures, preparation, readers
from pipeline.data.files.holding import Array
from pipeline.data.inspection import inspect
from pipeline.errors import DataError
from pipeline.prediction.answers import answers
from tests.data.sections import sources, unheard
from tests.data.test_forms import IMAGES, LABELS, WORDS, labelled, png
from tests.data.test_readers import DTYPE, GIGABYTE, GZIPPED, MEGABYTE, _deflated, _instructions
from tests.memory import peak_below, traced  # noqa: F401 - a fixture
from tests.users import as_nobody

pytestmark = pytest.mark.usefixtures("traced")

PICTURE = png(IMAGES[0])
COLOURS = np.stack([IMAGES[0], IMAGES[1], IMAGES[2]], axis=2)


def refusal(path: Path, memory: int = 16 * MEGABYTE) -> str:
    """What is said of a dataset in `path`, in one line; in Python's memory no more than that."""
    with peak_below(memory), pytest.raises(DataError) as caught:
        preparation.read(sources(path), 42, unheard)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert told.isprintable()
    return told.removeprefix(f"{path}: ")


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def claiming(width: int, height: int, packed: bytes = b"", extra: bytes = b"") -> bytes:
    """A grey PNG of that size, whatever its packed pixels are."""
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", packed or zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def in_16_bits_a_colour(pixels: Array) -> bytes:
    """A PNG that Pillow can read, and not write."""
    rows = np.repeat(pixels.astype(">u2") * 257, 3, axis=1)
    packed = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">2I5B", *pixels.shape[::-1], 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def saved(pixels: Any, mode: str | None = None, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, form, **options)
    return file.getvalue()


def moving() -> bytes:
    file = io.BytesIO()
    first, second = (Image.fromarray(image) for image in IMAGES[:2])
    first.save(file, "PNG", save_all=True, append_images=[second])
    return file.getvalue()


ZEROS = _deflated(b"", 256 * MEGABYTE, 15)
PICTURES: dict[str, tuple[bytes, str]] = {
    "a bomb of 900 million pixels": (claiming(30_000, 30_000), "900000000 pixels"),
    "a bomb of 2 ** 62 pixels": (claiming(2**31 - 1, 2**31 - 1), "pixels"),
    "a bomb in its text": (
        claiming(28, 28, extra=chunk(b"zTXt", b"comment\x00\x00" + ZEROS)),
        "not a readable picture",
    ),
    "a bomb in its colours' profile": (
        claiming(28, 28, extra=chunk(b"iCCP", b"name\x00\x00" + ZEROS)),
        "Decompressed data too large",
    ),
    "pixels that are not there": (claiming(2_000, 2_000), "not a readable picture"),
    "no width": (claiming(0, 28), "not a readable picture"),
    "cut short": (PICTURE[:150], "not a readable picture"),
    "another checksum": (PICTURE[:-20] + bytes(20), "not a readable picture"),
    "text": (b"five", "neither PNG nor JPEG"),
    "nothing": (b"", "neither PNG nor JPEG"),
    "another form of picture": (saved(IMAGES[0], form="GIF"), "neither PNG nor JPEG"),
    "a form that may run programs": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "neither PNG nor JPEG"),
    "one that moves": (moving(), "a file of several pictures"),
    "two in one file, as cameras keep them": (
        saved(IMAGES[0], "RGB", "MPO", save_all=True, append_images=[Image.new("RGB", (28, 28))]),
        "a file of several pictures",
    ),
    "16 bits": (saved(IMAGES[0].astype(np.uint16) * 257), "of 16 bits, expected 8"),
    "16 bits a colour": (in_16_bits_a_colour(IMAGES[0]), "of 16 bits, expected 8"),
    "inks": (saved(COLOURS, "CMYK", "JPEG"), "mode CMYK"),
    "half transparent": (saved(np.dstack([COLOURS, IMAGES[0]])), "partly transparent"),
    "a transparent grey": (saved(IMAGES[0], transparency=0), "partly transparent"),
    "in colour": (saved(COLOURS), "in colour, expected grey ones"),
    "in colours of a palette": (saved(COLOURS, "P"), "in colour, expected grey ones"),
    "not square": (saved(IMAGES[0][:20]), ", 20, 28), expected"),
}


@pytest.mark.parametrize(("content", "told"), PICTURES.values(), ids=PICTURES)
def test_a_picture_that_cannot_be_used_is_refused_alone_and_in_a_folder(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "picture").write_bytes(content)
    folder = tmp_path / "pictures"
    for name in ("five", "four"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(content)
    assert told in refusal(folder)
    if content.startswith((b"\x89PNG", b"\xff\xd8")):
        assert told in refusal(tmp_path / "picture")


ZERO = bytes(28 * 28)


def test_of_a_picture_no_more_is_unpacked_than_its_size(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(claiming(28, 28, ZEROS))
    with peak_below(16 * MEGABYTE):
        (read,) = readers.read(path, "images", "train")
    assert bytes(read) == ZERO


GREYS: dict[str, bytes] = {
    "colours that are greys": saved(np.stack([IMAGES[0]] * 3, axis=2)),
    "a palette of greys": saved(Image.fromarray(IMAGES[0]).convert("P")),
    "opaque": saved(np.dstack([IMAGES[0]] * 3 + [np.full_like(IMAGES[0], 255)])),
    "grey and opaque": saved(Image.fromarray(IMAGES[0]).convert("LA")),
}


@pytest.mark.parametrize("content", GREYS.values(), ids=GREYS)
def test_a_picture_that_is_grey_after_all_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    for name in ("five", "four"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "grey.png").write_bytes(PICTURE)
        (tmp_path / name / "other.png").write_bytes(content)
    dataset = preparation.read(sources(tmp_path), 42, unheard)
    assert {*map(bytes, [*dataset.train_images, *dataset.test_images])} == {bytes(IMAGES[0])}


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, IMAGES[0]), (3, IMAGES[0][::-1, ::-1]), (6, np.rot90(IMAGES[0], -1)), (5, IMAGES[0].T)],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_is_turned_as_its_camera_says(
    tmp_path: Path, orientation: int, turned: Array, form: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "picture"
    path.write_bytes(saved(IMAGES[0], form=form, exif=exif, quality=100))
    (read,) = readers.read(path, "images", "train")
    np.testing.assert_allclose(read.astype(int), turned.astype(int), atol=3)


def test_a_picture_is_black_and_white_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(saved(Image.fromarray(IMAGES[0]).convert("1", dither=Image.Dither.NONE)))
    (read,) = readers.read(path, "images", "train")
    np.testing.assert_array_equal(read, np.where(IMAGES[0] > 127, 255, 0))


def folder_of_classes(path: Path, count: int = 3) -> Path:
    for name in ("five", "four"):
        (path / name).mkdir(parents=True)
        for index in range(count):
            (path / name / f"{index}.png").write_bytes(PICTURE)
    return path


def _many_bombs(path: Path) -> None:
    bomb = saved(np.zeros((2048, 2048), np.uint8))
    for index in range(20):
        (path / "five" / f"bomb{index}.png").write_bytes(bomb)


def _as_part(path: Path) -> Path:
    for name in ("five", "four"):
        os.renames(path / name, path / "train" / name)
    return path / "train"


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link out of it": (
        lambda path: (path / "five/x.png").symlink_to("/etc/passwd"),
        "a link, x.png, that leads out",
    ),
    "a link to a folder above": (lambda path: (path / "six").symlink_to(".."), "leads out"),
    "a link to itself": (lambda path: (path / "five/x.png").symlink_to("x.png"), "Too many levels"),
    "a link to nothing": (lambda path: (path / "five/x.png").symlink_to("/nowhere"), "leads out"),
    "a link to nothing within": (
        lambda path: (path / "five/x.png").symlink_to("y.png"),
        "No such file",
    ),
    "a named pipe": (lambda path: os.mkfifo(path / "five/x.png"), "a named pipe, expected a file"),
    "a folder within a class": (lambda path: (path / "five/more").mkdir(), "five/more, a folder"),
    "a file beside the classes": (lambda path: (path / "labels.csv").touch(), "beside folders"),
    "another file in a class": (lambda path: (path / "five/x.txt").write_text("?"), "five/x.txt"),
    "a picture of another size": (
        lambda path: (path / "five/x.png").write_bytes(png(IMAGES[0][:14, :14])),
        "14 x 14 pixels, expected 28 x 28",
    ),
    "a name that is no text": (
        lambda path: folder_of_classes(Path(os.fsdecode(os.fsencode(path) + b"/\xff"))),
        "",
    ),
    "a name of several lines": (
        lambda path: (path / "five").rename(path / "a\nb"),
        "a class named 'a\\nb'",
    ),
    "bombs that are small each": (_many_bombs, "expected 28 x 28"),
    "two folders for a part": (
        lambda path: [
            (path / "five").rename(path / "train"),
            (path / "four").rename(path / "Train"),
        ],
        "expected one folder for each part",
    ),
    "a folder beside one of a part": (
        lambda path: os.renames(path / "five", path / "train/five"),
        "found four beside train, in which are folders",
    ),
    "another file in a class of a part": (
        lambda path: (_as_part(path) / "five/x.txt").write_text("?"),
        "train/five/x.txt: not a readable picture",
    ),
    "a file beside the classes of a part": (
        lambda path: (_as_part(path) / "labels.csv").touch(),
        "train: found the file labels.csv beside folders",
    ),
    "no picture in a class": (
        lambda path: [shutil.move(file, path / f".{file.stem}") for file in path.rglob("*.png")],
        "folders without a picture",
    ),
}


@pytest.mark.parametrize(("change", "told"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_cannot_be_used_is_refused(
    tmp_path: Path, change: Callable[[Path], object], told: str
) -> None:
    folder = folder_of_classes(tmp_path / "pictures")
    change(folder)
    assert told in refusal(folder)


def test_bombs_of_one_size_are_refused_when_they_are_too_much(tmp_path: Path) -> None:
    bomb = saved(np.zeros((2048, 2048), np.uint8), optimize=True)
    for name in ("five", "four"):
        (tmp_path / name).mkdir()
        for index in range(30):
            (tmp_path / name / f"{index}.png").write_bytes(bomb)
    assert "expected at most" in refusal(tmp_path, memory=64 * MEGABYTE)


def test_a_link_within_a_folder_is_followed(tmp_path: Path) -> None:
    folder = folder_of_classes(tmp_path / "pictures")
    (folder / "five/link.png").symlink_to("0.png")
    dataset = preparation.read(sources(folder), 42, unheard)
    assert len(dataset.train_images) + len(dataset.test_images) == 7


def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    folder = folder_of_classes(tmp_path / "pictures")
    (folder / "five").chmod(0)
    with as_nobody():
        assert "Permission denied" in refusal(folder)
    (folder / "five").chmod(0o755)


def test_a_class_may_be_called_as_a_part_is(tmp_path: Path) -> None:
    folder = folder_of_classes(tmp_path / "pictures")
    (folder / "five").rename(folder / "train")
    assert preparation.read(sources(folder), 42, unheard).classes.tolist() == ["four", "train"]


def test_names_that_begin_with_a_dot_are_left_out(tmp_path: Path) -> None:
    folder = folder_of_classes(tmp_path / "pictures")
    (folder / ".DS_Store").touch()
    (folder / "five/.hidden").touch()
    assert preparation.read(sources(folder), 42, unheard).classes.tolist() == ["five", "four"]


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path) -> None:
    for part in ("train", "test"):
        folder_of_classes(tmp_path / part)
    (tmp_path / "train/six").mkdir()
    (tmp_path / "README.txt").touch()
    notes: list[str] = []
    dataset = preparation.read(sources(tmp_path), 42, notes.append)
    assert dataset.classes.tolist() == ["five", "four"]
    assert notes == [
        f"{tmp_path}: left out what is beside the folders: README.txt",
        f"{tmp_path}: no class: six, a folder without a picture",
    ]


def test_a_part_without_classes_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder_of_classes(folder / "train")
    (folder / "test").mkdir()
    (folder / "test/1.png").write_bytes(PICTURE)
    told = refusal(folder)
    assert "found 1 pictures in test without folders of classes, 6 pictures in train" in told


def test_the_first_images_of_a_folder_are_of_all_its_classes_in_their_shares(
    tmp_path: Path,
) -> None:
    for name, count in (("few", 10), ("many", 30), ("none", 0)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index}.png").write_bytes(PICTURE)
    labels = readers.read(tmp_path, "labels", "train")
    assert [np.sum(labels[:first] == "few") for first in (4, 8, 20, 40)] == [1, 2, 5, 10]


@pytest.mark.exhaustive
def test_a_hundred_thousand_pictures_take_the_memory_of_their_names(tmp_path: Path) -> None:
    for name in ("five", "four"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(PICTURE)
        for index in range(1, 50_000):
            os.link(tmp_path / name / "0.png", tmp_path / name / f"{index}.png")
    with peak_below(64 * MEGABYTE):  # 100,000 names, and 16 MiB of pixels twice
        source = readers.source(tmp_path)
        count = sum(len(images) for images in source.images("train"))
    assert count == 100_000


ROW = ",".join(["5", *map(str, IMAGES[0].ravel())])
FOUR = f"4{ROW[1:]}"  # of another label: that it differs tells it from a pixel
LONG_ROW = b"5," + b",".join([b"0" * 4000] * 4) + b"\n"
TABLES: dict[str, tuple[bytes, str]] = {
    "another count of pixels": (b"5,0,0\n", "found 3 columns"),
    "a row too short": (f"{ROW}\n5,0,0\n".encode(), "3 columns in line 2, expected 785"),
    "a row too long": (f"{ROW}\n{ROW},0\n".encode(), "786 columns in line 2, expected 785"),
    "a word among the pixels": (
        f"{FOUR}\n{ROW.replace(',0,', ',x,', 1)}\n".encode(),
        "no numbers in lines 1 to 2",
    ),
    "a pixel left out": (
        f"{FOUR}\n{ROW.replace(',0,', ',,', 1)}\n".encode(),
        "no numbers in lines",
    ),
    "not a number": (f"{FOUR}\n{ROW[:-1]}nan\n".encode(), "from nan to nan"),
    "beyond 255": (f"{FOUR}\n{ROW.replace(',0,', ',256,', 1)}\n".encode(), "from 0.0 to 256.0"),
    "a header alone": (("label," + ",".join("p" * 784)).encode(), "found no image"),
    "no labels": (("\n".join([ROW.partition(",")[2]] * 3)).encode(), "found 784 columns, expected"),
    "quotes over lines": (f'{ROW[:-1]}"0\n{ROW[:-1]}0"\n'.encode(), "in"),
    "bytes that are no text": (
        ROW.encode() + b"\n\xff" + ROW[1:].encode(),
        "line 2 is no text in UTF-8",
    ),
    "another delimiter in a line": (
        f"{ROW}\n{ROW.replace(',', ';')}".encode(),
        "1 columns in line 2",
    ),
    "spaces": (ROW.replace(",", " ").encode(), "starts with b'5 0 '"),
    "an index of pandas": ((",0,1,2,3\n" + "0,0,1,1,0\n" * 3).encode(), "found 5 columns"),
    "a file of MATLAB": (b"MATLAB 5.0 MAT-file, Created on: today", "read as CSV: found 2 columns"),
    "a field that no reader of CSV takes": (
        b'5,"' + b"5" * MEGABYTE + b'"\n',
        "read as CSV: field",
    ),
    "a bomb, gzipped": (
        _deflated(b"5,0,0,0,0\n", GIGABYTE, GZIPPED),
        "longer than",
    ),
    "many lines, gzipped": (gzip.compress(LONG_ROW * 2_000), "expected at most"),
}


@pytest.mark.parametrize(("content", "told"), TABLES.values(), ids=TABLES)
def test_a_csv_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert told in refusal(path, memory=128 * MEGABYTE)


@pytest.mark.parametrize("start", [b"5,", ROW.encode() + b"\n5,"])
def test_a_csv_of_10_gb_in_one_line_is_refused(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(start)
    os.truncate(path, 10 * GIGABYTE)  # zeros that take no room
    assert "is longer than" in refusal(path, memory=32 * MEGABYTE)


CSVS: dict[str, str] = {
    "a mark of the byte order, ends of lines of Windows": "\ufeff{rows}\r\n",
    "blank lines": "\n{rows}\n\n",
    "a header": "label,{names}\n{rows}",
    "a header in quotes": '"label","{quoted}"\n{rows}',
    "a header of numbers, as pandas writes it": "label,{numbers}\n{rows}",
    "a header of numbers alone": "0,{more_numbers}\n{rows}",
    "floats": "{floats}",
}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("form", CSVS.values(), ids=CSVS)
def test_a_csv_is_read_however_it_was_written(tmp_path: Path, form: str, delimiter: str) -> None:
    names = [f"pixel{index}" for index in range(784)]
    rows = [[label, *image.ravel()] for label, image in zip(LABELS[:9], IMAGES[:9], strict=True)]
    floats = io.StringIO()
    np.savetxt(floats, rows, delimiter=",")
    text = form.format(
        rows="\n".join(",".join(map(str, row)) for row in rows),
        names=",".join(names),
        quoted='","'.join(names),
        numbers=",".join(map(str, range(784))),
        more_numbers=",".join(map(str, range(1, 785))),
        floats=floats.getvalue(),
    )
    if "\r\n" in form:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    text = text.lstrip("\n").replace(",", delimiter)
    (tmp_path / "table.csv").write_text(text, newline="")
    read = readers.read(tmp_path / "table.csv", "images", "train")
    np.testing.assert_array_equal(read.reshape(-1, 28, 28), IMAGES[:9])
    labels = readers.read(tmp_path / "table.csv", "labels", "train")
    np.testing.assert_array_equal(labels, LABELS[:9].astype(str))


def test_a_label_behind_the_pixels_is_found_by_its_name(tmp_path: Path) -> None:
    names = [f"pixel{index}" for index in range(784)]
    lines = [",".join([*names, "class"])]
    lines += [
        ",".join([*map(str, image.ravel()), f'"{label}"'])
        for image, label in zip(IMAGES[:9], LABELS[:9], strict=True)
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    np.testing.assert_array_equal(
        readers.read(tmp_path / "table.csv", "labels", "train"), LABELS[:9].astype(str)
    )
    read = readers.read(tmp_path / "table.csv", "images", "train")
    np.testing.assert_array_equal(read.reshape(-1, 28, 28), IMAGES[:9])


@pytest.mark.parametrize("last", [False, True])
def test_a_word_before_or_behind_the_pixels_is_the_label(tmp_path: Path, last: bool) -> None:
    words = [f"it's {label}, they say" for label in LABELS[:9]]
    lines = []
    for word, image in zip(words, IMAGES[:9], strict=True):
        fields = [f'"{word}"', *map(str, image.ravel())]
        lines.append(",".join([*fields[1:], fields[0]] if last else fields))
    (tmp_path / "table.csv").write_text("\n".join(lines))
    source = readers.source(tmp_path / "table.csv")
    assert source.labels("train").tolist() == words
    (read,) = source.images("train")
    np.testing.assert_array_equal(read.reshape(-1, 28, 28), IMAGES[:9])
    assert source.holding.notes == (f"the {'last' if last else 'first'} column taken as labels",)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "write", [str, "{:.18e}".format, '"{}"'.format], ids=["whole", "float", "in quotes"]
)
def test_the_end_that_differs_from_line_to_line_is_the_label(
    tmp_path: Path, last: bool, write: Callable[[Any], str]
) -> None:
    """Behind the pixels as in UCI's files, or before them as in Kaggle's: corners are black."""
    lines = []
    for label, image in zip(LABELS[:9], IMAGES[:9], strict=True):
        fields = [*image.ravel(), label] if last else [label, *image.ravel()]
        lines.append(",".join(map(write, fields)))
    (tmp_path / "table.csv").write_text("\n".join(lines))
    source = readers.source(tmp_path / "table.csv")
    assert source.holding.notes == (f"the {'last' if last else 'first'} column taken as labels",)
    assert source.labels("train").tolist() == LABELS[:9].astype(str).tolist()
    (read,) = source.images("train")
    np.testing.assert_array_equal(read.reshape(-1, 28, 28), IMAGES[:9])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("1,0,0,0,9\n2,0,0,0,7", id="both differ"),
        pytest.param("1,0,0,0,9\n1,0,0,0,9", id="neither differs"),
        pytest.param("1,0,0,0,9", id="one image"),
        pytest.param("0.5,0,0,0,9\n0.1,0,0,0,9", id="one has fractions, the other is the same"),
    ],
)
def test_a_csv_whose_labels_may_be_at_either_end_is_refused(tmp_path: Path, lines: str) -> None:
    (tmp_path / "table.csv").write_text(lines)
    assert "expected a first line that calls one of them 'label'" in refusal(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        pytest.param("7,0,0,0,9\nA,0,0,0,7", ["7", "A"], id="a word behind the first line"),
        pytest.param("0.5,0,0,0,9\n0.1,0,0,0,7", ["9", "7"], id="fractions at the other end"),
    ],
)
def test_what_can_be_no_pixel_is_the_label_and_what_can_be_no_label_a_pixel(
    tmp_path: Path, lines: str, labels: list[str]
) -> None:
    (tmp_path / "table.csv").write_text(lines)
    assert readers.read(tmp_path / "table.csv", "labels", "train").tolist() == labels


COLUMNS: dict[str, str] = {
    "numbers": "\n".join(map(str, LABELS)),
    "numbers, as NumPy writes them": "\n".join(map("{:.18e}".format, LABELS)),
    "below its name": "\n".join(["Label", *map(str, LABELS)]),
    "words below its name, in quotes, of Windows": "\r\n".join(
        ['"class"', *(f'"{word}, no less"' for word in WORDS[LABELS])]
    ),
}


@pytest.mark.parametrize("text", COLUMNS.values(), ids=COLUMNS)
def test_a_column_alone_is_the_labels_of_another_file(tmp_path: Path, text: str) -> None:
    images, labels = tmp_path / "images.csv", tmp_path / "labels.csv"
    np.savetxt(images, IMAGES.reshape(-1, 784), "%d", ",")
    labels.write_text(text + "\n", newline="")
    section = sources(images, train_labels=str(labels), test_labels=str(labels))
    dataset = preparation.read(section, 42, unheard)
    found = labelled(dataset.train_images, dataset.train_labels)
    found += labelled(dataset.test_images, dataset.test_labels)
    _, indices = np.unique([f"{word}, no less" for word in WORDS[LABELS]], return_inverse=True)
    assert sorted(found) == labelled(IMAGES, indices if "no less" in text else LABELS)
    with pytest.raises(DataError, match="found a column of labels, expected images of all or"):
        readers.read(labels, "images", "train")


def test_the_names_that_pandas_gives_to_columns_are_no_image(tmp_path: Path) -> None:
    small = IMAGES[:, ::4, ::4].reshape(-1, 49)
    frame = pandas.DataFrame(small)
    frame.insert(0, "label", LABELS)
    frame.to_csv(tmp_path / "table.csv", index=False)
    np.testing.assert_array_equal(readers.read(tmp_path / "table.csv", "images", "train"), small)


def written(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


SOUND = written({"image": [png(image) for image in IMAGES[:20]], "label": LABELS[:20]})
FOOTER = struct.unpack("<I", SOUND[-8:-4])[0]
PARQUETS: dict[str, tuple[bytes, str]] = {
    "its mark alone": (b"PAR1PAR1", "not a readable Parquet"),
    "cut short": (SOUND[:-100], "not a readable Parquet"),
    "a footer longer than the file": (
        SOUND[:-8] + struct.pack("<I", 2**31) + b"PAR1",
        "not a readable Parquet",
    ),
    "a footer of zeros": (
        SOUND[: -8 - FOOTER] + bytes(FOOTER) + SOUND[-8:],
        "not a readable Parquet",
    ),
    "data that is not there": (SOUND[:4] + SOUND[-8 - FOOTER :], "not a readable Parquet"),
    "one picture many times": (
        written({"image": [saved(np.zeros((1024, 1024), np.uint8))] * 1000, "label": [0] * 1000}),
        "expected at most",
    ),
    "labels with fractions": (
        written({"image": [PICTURE] * 20, "label": np.full(20, 0.5)}),
        "found label values with fractions",
    ),
    "no pictures": (written({"image": [b"five"] * 3, "label": [1, 2, 3]}), "row 0: not a readable"),
    "a picture left out": (
        written({"image": [PICTURE, None, PICTURE], "label": [1, 2, 1]}),
        "row 1 has no picture",
    ),
    "labels left out": (written({"image": [PICTURE] * 3, "label": [1, None, 2]}), "NoneType"),
    "pixels in lists": (written({"image": [[1, 2]] * 3, "label": [1, 2, 1]}), "pictures as bytes"),
    "other columns": (written({"picture": [PICTURE] * 3}), "columns picture, expected images"),
    "labels alone": (written({"label": [1, 2, 1]}), "columns label, expected images"),
}


@pytest.mark.parametrize(("content", "told"), PARQUETS.values(), ids=PARQUETS)
def test_a_parquet_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes, told: str
) -> None:
    assert len(content) < MEGABYTE
    path = tmp_path / "table.parquet"
    path.write_bytes(content)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert told in refusal(path, memory=64 * MEGABYTE)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_a_parquet_file_is_read_however_it_is_packed(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "table.parquet"
    images = [png(image) for image in IMAGES[:20]]
    path.write_bytes(written({"image": images, "label": LABELS[:20]}, compression=compression))
    np.testing.assert_array_equal(readers.read(path, "images", "train"), IMAGES[:20])
    np.testing.assert_array_equal(readers.read(path, "labels", "train"), LABELS[:20])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b"], "found labels from 0 to 2, of 2 names"),
        (["a", "b", "a"], "found one name for several labels: a, b, a"),
    ],
)
def test_names_of_a_hub_that_do_not_fit_the_labels_are_refused(
    tmp_path: Path, names: list[str], told: str
) -> None:
    path = tmp_path / "table.parquet"
    described = {"info": {"features": {"label": {"names": names}}}}
    columns = pa.table({"image": [PICTURE] * 3, "label": [0, 1, 2]})
    metadata = {"huggingface": json.dumps(described)}
    pyarrow.parquet.write_table(columns.replace_schema_metadata(metadata), path)
    assert told in refusal(path)


def test_of_a_parquet_file_a_few_groups_of_rows_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 256, 256), np.uint8)
    path = tmp_path / "table.parquet"
    content = {"image": [saved(image, compress_level=0) for image in noise]}
    path.write_bytes(written(content, row_group_size=32))
    del noise, content
    monkeypatch.setattr(pictures, "CHUNK_BYTES", MEGABYTE)
    with peak_below(24 * MEGABYTE):  # of 32
        assert sum(len(images) for images in readers.source(path).images("train")) == 512


def test_a_parquet_file_may_hold_whole_numbers_as_floats(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    images = [png(image) for image in IMAGES[:20]]
    path.write_bytes(written({"img": images, "label": LABELS[:20].astype(float)}))
    np.testing.assert_array_equal(readers.read(path, "images", "train"), IMAGES[:20])
    np.testing.assert_array_equal(readers.read(path, "labels", "train"), LABELS[:20])


NO_ROWS: dict[str, bytes] = {
    "a CSV of a header": b"label,a,b,c,d\n",
    "a CSV of a header and a blank line": b"label,a,b,c,d\n\n",
    "a CSV without labels": b"a,b,c,d\n\n",
    "Parquet": written({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}),
    "Parquet without labels": written({"image": pa.array([], pa.binary())}),
}


@pytest.mark.parametrize("content", NO_ROWS.values(), ids=NO_ROWS)
def test_a_table_without_rows_holds_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    looks: list[Callable[[], object]] = [
        lambda: preparation.read(sources(path), 42, unheard),
        lambda: inspect(path),
        lambda: [*answers(lambda _: {}, readers.source(path), sources(path))],
    ]
    for look in looks:
        with pytest.raises(DataError, match=f"^{path}: found no image, expected one or more$"):
            look()


def _itself() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


def _array_of_itself() -> Array:
    held = np.empty(1, object)
    held[0] = held
    return held


NESTED = b")" + (pickle.DUP + pickle.TUPLE2) * 100  # a hash of 2 ** 100 steps
BUNCH = b"csklearn.utils._bunch\nBunch\n"
LISTS: dict[str, tuple[bytes, str]] = {
    "a list that holds itself": (pickle.dumps({"images": _itself()}), "found a list of list"),
    "an array that holds itself": (pickle.dumps({"images": _array_of_itself()}), "hold themselves"),
    "one list a million times": (
        pickle.dumps({"images": [[[0] * 1000] * 1000] * 1000}),
        "one list many times",
    ),
    "one array a thousand times": (
        pickle.dumps({"images": [[np.zeros((200, 1000), np.uint8)] * 200] * 200}),
        "one array many times",
    ),
    "one text a million times": (
        pickle.dumps({"images": IMAGES, "labels": ["x" * 150] * MEGABYTE}),
        "expected at most",
    ),
    "an endless text": (
        pickle.dumps({"images": IMAGES, "labels": ["x" * MEGABYTE] * 120}),
        "expected a label",
    ),
    "lists of lists of lists of lists": (
        pickle.dumps({"images": [[[[[0]]]]], "labels": [0]}),
        "found a list of list",
    ),
    "a dict that is made of what takes forever": (
        b"\x80\x02" + BUNCH + b"(](" + NESTED + b"N\x86e\x85R.",
        "",
    ),
    "a dict that is made of items": (b"\x80\x02" + BUNCH + b"]\x85R.", "TypeError"),
    "its state set on the dict itself": (b"\x80\x02" + BUNCH + b"}b.", "TypeError"),
    "a call, as Python 2 wrote it": (
        b"(dp0\nS'images'\np1\ncos\nsystem\np2\n(S'touch target'\ntRs.",
        "a reference to os.system",
    ),
    "a text that is a program, as Python 2 wrote it": (
        b"(dp0\nS'images'\np1\nS'\\x80' + exit(1)\ns.",
        "not a readable pickle",
    ),
    "a type longer than its data": (
        b"\x80\x02" + DTYPE + _instructions(("U9999", False, True)) + b"R.",
        "an array of type U9999",
    ),
}


@pytest.mark.parametrize(("content", "told"), LISTS.values(), ids=LISTS)
def test_a_pickle_of_lists_that_means_harm_is_refused(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "lists.pkl"
    path.write_bytes(content)
    assert told in refusal(path, memory=64 * MEGABYTE)


PROTOCOLS = pytest.mark.parametrize("protocol", range(6))


@PROTOCOLS
def test_a_pickle_of_any_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "digits"
    path.write_bytes(pickle.dumps({"images": IMAGES, "labels": LABELS.tolist()}, protocol))
    np.testing.assert_array_equal(readers.read(path, "images", "train"), IMAGES)
    np.testing.assert_array_equal(readers.read(path, "labels", "train"), LABELS)


def _of_python_2(array: Array) -> bytes:
    """An array as cPickle of Python 2 and NumPy 1 wrote it: its bytes are a text."""
    shape = _instructions(array.shape)
    text = pickle.BINSTRING + struct.pack("<i", array.nbytes) + array.tobytes()
    kind = array.dtype.str
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01"
        + shape
        + b"cnumpy\ndtype\n(U\x02" + kind[1:].encode() + b"K\x00K\x01tR(K\x03U\x01"
        + kind[:1].encode() + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + text + b"tb"
    )  # fmt: skip


@pytest.mark.parametrize("divisor", [255, 256])
def test_the_classic_pickle_of_python_2_is_read(tmp_path: Path, divisor: int) -> None:
    pairs = b""
    for part in (slice(0, 60), slice(60, 80), slice(80, 120)):
        images = (IMAGES[part].reshape(-1, 784) / divisor).astype(np.float32)
        labels = LABELS[part].astype(np.int64)
        pairs += _of_python_2(images) + _of_python_2(labels) + b"\x86"
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(b"\x80\x02" + pairs + b"\x87."))
    dataset = preparation.read(sources(path), 42, unheard)
    np.testing.assert_array_equal(dataset.train_images, IMAGES[:60])
    np.testing.assert_array_equal(dataset.test_images, IMAGES[80:])
    np.testing.assert_array_equal(dataset.classes[dataset.test_labels], LABELS[80:])


def test_scikit_learns_dict_is_read(tmp_path: Path) -> None:
    utils = pytest.importorskip("sklearn.utils")
    path = tmp_path / "digits.pkl"
    bunch = utils.Bunch(data=IMAGES.reshape(-1, 784), target=LABELS, DESCR="digits")
    path.write_bytes(pickle.dumps(bunch))
    dataset = preparation.read(sources(path), 42, unheard)
    assert len(dataset.train_images) + len(dataset.test_images) == len(IMAGES)
