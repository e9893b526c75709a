"""`python -m pipeline inspect`: what is there, in words, and the section that reads it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.commands import inspect
from pipeline.data import inspection
from pipeline.data.files import holding, preparation
from pipeline.data.files.holding import Array
from pipeline.data.files.sources import Sources
from pipeline.errors import DataError, StorageError
from tests.data.sections import unheard
from tests.data.test_forms import IMAGES, LABELS, WORDS, idx, png
from tests.users import as_nobody

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *paths: str, sheet: str = "sheet.png") -> str:
    inspect.main(paths=[*map(Path, paths)], sheet=Path(sheet))
    return capsys.readouterr().out


def section(printed: str) -> Sources:
    lines = printed.split("for params.yaml:\n\n")[1]
    return Sources.model_validate(YAML(typ="safe").load(lines)["prepare"])


def test_the_command_says_what_the_committed_images_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "inspect", ROOT / "data/raw/mnist.pkl"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "mnist.pkl: a pickled dict\n" in done.stdout
    assert (
        "  10,000 images of 28 x 28 pixels, levels 0 to 255, mean 33.4; 0 duplicates\n"
        in done.stdout
    )
    assert "  class  images\n  -------------\n  0       1,001\n  1       1,127\n" in done.stdout
    assert "written to contact_sheet.png" in done.stdout


def test_images_and_labels_in_files_of_their_own_find_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idx(tmp_path)
    files = ("train-images.gz", "test-images", "test-labels", "train-labels.gz")
    found = section(told(capsys, *files))
    assert (found.train_images, found.train_labels) == ("train-images.gz", "train-labels.gz")
    assert (found.test_images, found.test_labels) == ("test-images", "test-labels")
    with Image.open("sheet.png") as sheet:
        assert sheet.height > 750  # a row for each of ten classes


def test_a_csv_of_labels_alone_finds_its_images(capsys: pytest.CaptureFixture[str]) -> None:
    np.savetxt("images.csv", IMAGES.reshape(-1, 784), "%d", ",")
    np.savetxt("labels.csv", LABELS, "%d")
    printed = told(capsys, "images.csv", "labels.csv")
    assert "labels.csv: a CSV file\n  the only column taken as labels\n" in printed
    assert section(printed).train_labels == "labels.csv"


def test_one_hot_labels_are_no_images_whatever_their_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save("images.npy", IMAGES)
    np.save("labels.npy", np.eye(9, dtype=np.uint8)[LABELS % 9])
    printed = told(capsys, "images.npy", "labels.npy")
    assert "labels.npy: an .npy file\n  one-hot labels taken as" in printed
    assert "\n  120 labels\n" in printed
    assert section(printed).train_labels == "labels.npy"


def test_an_image_twice_is_a_duplicate_and_a_class_has_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES[[0, 1, 1, 1]], labels=WORDS[LABELS[[0, 1, 1, 1]]])
    printed = told(capsys, "a.npz")
    assert "4 images of 28 x 28 pixels, levels 0 to 255" in printed
    assert "2 duplicates" in printed
    assert "  five        1\n  zero        3\n" in printed


def test_images_without_labels_are_described_and_have_no_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("five.png").write_bytes(png(IMAGES[0]))
    printed = told(capsys, "five.png")
    assert "five.png: a picture\n  1 image of 28 x 28 pixels" in printed
    assert "; no labels\n" in printed
    assert "# five.png has no labels, which `prepare` needs" in printed


def test_images_without_a_part_are_told_beside_those_of_the_training_part(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES, labels=LABELS, x_train=IMAGES[:80], y_train=LABELS[:80])
    printed = told(capsys, "a.npz")
    assert "\n  120 images of 28 x 28 pixels" in printed
    assert "\n  train: 80 images of 28 x 28 pixels" in printed


def test_labels_alone_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("labels.npy", LABELS)
    with pytest.raises(DataError, match=r"^labels\.npy: found labels alone"):
        told(capsys, "labels.npy")
    assert not Path("sheet.png").exists()


def test_labels_that_are_not_as_many_as_the_images_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES[:5], labels=LABELS[:4])
    with pytest.raises(DataError, match=r"^a\.npz: found labels of shape \(4,\), expected \(5,\)"):
        told(capsys, "a.npz")


@pytest.mark.parametrize(
    ("content", "told_"),
    [
        ({"images": IMAGES, "labels": LABELS * 0}, "found 1 class(es), expected 2 to 256"),
        ({"images": IMAGES[:10], "labels": np.arange(10)}, "found one image of class 0"),
        (
            {"x_train": IMAGES[:80], "y_train": LABELS[:80], "x_test": IMAGES[80:]},
            "expected labels of all or of the test part",
        ),
    ],
)
def test_what_prepare_refuses_is_told_above_the_section(
    capsys: pytest.CaptureFixture[str], content: dict[str, Array], told_: str
) -> None:
    np.savez("a.npz", **content)  # type: ignore[arg-type]
    printed = told(capsys, "a.npz")
    with pytest.raises(DataError) as caught:
        preparation.read(section(printed), 42, unheard)
    assert told_ in str(caught.value)
    assert f"\n# `prepare` refuses these: {caught.value}\nprepare:\n" in printed


def test_a_file_that_cannot_be_read_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("a.npz", images=IMAGES, labels=WORDS[LABELS].astype(object))
    with pytest.raises(DataError) as caught:
        told(capsys, "a.npz")
    assert str(caught.value).count("a.npz") == 1


def test_greys_before_the_first_image_in_colour_are_weighed_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.stack([IMAGES] * 3, axis=3)
    images[-1, 0, 0] = (255, 0, 0)
    np.savez("a.npz", images=images, labels=LABELS)
    monkeypatch.setattr(holding, "CHUNK_BYTES", images[:50].nbytes)
    printed = told(capsys, "a.npz")
    assert "colours weighed to a grey" in printed
    assert "kept as colours" not in printed


@pytest.mark.filterwarnings("error")
def test_a_name_whose_letters_the_font_lacks_is_drawn_without_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES, labels=np.array(["日本", "five"])[LABELS % 2])
    assert "  日本       " in told(capsys, "a.npz")


def test_a_path_that_is_no_text_is_told_in_what_can_be_printed() -> None:
    name = os.fsdecode(b"a\xff.npz")
    with Path(name).open("wb") as file:
        np.savez(file, images=IMAGES, labels=LABELS)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "inspect", name],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("a\\udcff.npz: an .npz file\n")
    assert section(done.stdout).train_images == name


def test_many_classes_are_told_in_a_line_and_drawn_up_to_a_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES, labels=np.arange(119, -1, -1) // 2)
    assert "  60 classes, the first part's of 2 to 2\n" in told(capsys, "a.npz")
    (found,) = inspection.inspect(Path("a.npz")).found
    assert [*found.samples] == [str(label) for label in range(20, 60)]  # the first that there are
    assert {len(samples) for samples in found.samples.values()} == {2}
    with Image.open("sheet.png") as sheet:
        assert sheet.height < 40 * 80


@pytest.mark.parametrize(
    "name",
    [
        *("my digits.npz", "no: #1.npz", "-a.npz", "yes", "é.npz", "5", "null", ".inf"),
        *("\N{GRINNING FACE}", "a\x7fb", "a\x85b", "a\u2028b", "a\nb", '\\"'),
        *("\ufeff", "\U000e0001"),  # without a glyph, and without a meaning
    ],
)
def test_the_section_names_any_path(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(name).open("wb") as file:
        np.savez(file, images=IMAGES, labels=LABELS)
    assert section(told(capsys, name)).train_images == name


def test_a_sheet_is_drawn_over_a_sheet_and_over_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("a.npz", images=IMAGES, labels=LABELS)
    told(capsys, "a.npz")
    told(capsys, "a.npz")
    for name, content in (("notes.txt", b"mine"), ("five.png", png(IMAGES[0])), ("none", b"")):
        Path(name).write_bytes(content)
        with pytest.raises(StorageError, match=f"^{name}: is there, and no contact sheet, which"):
            told(capsys, "a.npz", sheet=name)
        assert Path(name).read_bytes() == content


@pytest.mark.parametrize("sheet", ["five/1.png", "sheet.png", "../here/five/sheet.png"])
def test_a_sheet_is_never_one_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sheet: str
) -> None:
    (tmp_path / "here/five").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    Path("five/1.png").write_bytes(png(IMAGES[0]))
    path = "five/1.png" if sheet == "five/1.png" else "."
    what = "one of the images, which" if path == sheet else r"in \., whose images"
    with pytest.raises(StorageError, match=f"^{sheet}: is {what} --sheet would change"):
        told(capsys, path, sheet=sheet)
    assert Path("five/1.png").read_bytes() == png(IMAGES[0])
    assert [*Path().rglob("*.png")] == [Path("five/1.png")]


UNSEEN: dict[str, tuple[str, str]] = {
    "below a folder that may not be searched": ("locked/a.png", "Permission denied"),
    "of a name that is too long": ("x" * 256, "File name too long"),
    "a link to itself": ("loop", "Too many levels of symbolic links"),
    "below a file": ("file/a.png", "Not a directory"),
}


@pytest.mark.parametrize(("path", "told_"), UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("as_sheet", [False, True])
def test_a_path_that_cannot_be_looked_at_is_told_in_a_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, told_: str, as_sheet: bool
) -> None:
    tmp_path.chmod(0o755)  # as `as_nobody` needs it
    np.savez("a.npz", images=IMAGES, labels=LABELS)
    Path("file").touch()
    Path("loop").symlink_to("loop")
    Path("locked").mkdir(0)
    paths = {"sheet": path} if as_sheet else {}
    with as_nobody(), pytest.raises(DataError, match=f"^{path}: can't be read: {told_}$"):
        told(capsys, "a.npz" if as_sheet else path, **paths)


def test_a_sheet_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("a.npz", images=IMAGES, labels=LABELS)
    Path("folder").mkdir()
    with pytest.raises(DataError, match=r"^folder: can't be read: found a folder, expected a file"):
        told(capsys, "a.npz", sheet="folder")
