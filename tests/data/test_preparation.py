"""Labelled images: checked, split and kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.data import datasets
from pipeline.data.datasets import Dataset
from pipeline.data.files import preparation
from pipeline.errors import DataError
from pipeline.params import PipelineParams, load_params
from tests.data.sections import sources, unheard

ROOT = Path(__file__).parents[2]
SEED = 42
# Each image is filled with a number of its own, so that it can be told from all others.
IMAGES = np.arange(35, dtype=np.uint8).repeat(16).reshape(35, 4, 4)
LABELS = np.repeat([3, 7, 8, 9], [10, 20, 3, 2])
COLOURS = np.stack([IMAGES, IMAGES * 2, IMAGES * 3], 3)


def _write(path: Path, images: Any = IMAGES, labels: Any = LABELS) -> Path:
    with path.open("wb") as file:
        np.savez(file, images=images, labels=labels)
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return _write(tmp_path / "train.npz")


@pytest.fixture(scope="module")
def committed_params() -> PipelineParams:
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def mnist(committed_params: PipelineParams) -> Iterator[Dataset]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield preparation.read(committed_params.section("prepare"), committed_params.seed, unheard)


def test_the_committed_images_are_the_first_10_000_of_each_part_of_mnist(mnist: Dataset) -> None:
    summary = preparation.summary(mnist)
    assert summary["side"] == 28
    assert summary["classes"] == list(range(10))
    assert summary["train_images_per_class"] == [
        *(1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978)
    ]
    assert summary["test_images_per_class"] == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert summary["test_images_in_train"] == 0
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_every_array_is_contiguous_bytes(mnist: Dataset) -> None:
    for name, array in mnist.arrays():
        assert array.flags.c_contiguous
        assert array.dtype == (np.int64 if name == "classes" else np.uint8)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["u1", ">u2", "i8", "f2", "f8"])
def test_whole_numbers_of_any_type_are_read_as_bytes(tmp_path: Path, dtype: str) -> None:
    path = _write(tmp_path / "train", IMAGES.astype(dtype), LABELS.astype(dtype))
    dataset = preparation.read(sources(path, _write(tmp_path / "test")), SEED, unheard)
    assert dataset.train_images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.train_images, IMAGES)
    np.testing.assert_array_equal(dataset.classes[dataset.train_labels], LABELS)


def _images_with(value: Any, dtype: str = "f8") -> npt.NDArray[Any]:
    images = IMAGES.astype(dtype)
    images[7, 1, 2] = value
    return images


def _labels_with(value: Any, dtype: str = "f8") -> npt.NDArray[Any]:
    labels = LABELS.astype(dtype)
    labels[7] = value
    return labels


@pytest.mark.parametrize(
    ("images", "told"),
    [
        pytest.param(IMAGES[0], "shape (4, 4), which may be one image or 4", id="one image"),
        pytest.param(np.stack([IMAGES] * 2, 3), "shape (35, 4, 4, 2)", id="two channels"),
        pytest.param(IMAGES.reshape(35, 2, 8), "shape (35, 2, 8)", id="rows of other lengths"),
        pytest.param(IMAGES.reshape(35, 16)[:, 1:], "shape (35, 15)", id="no square number"),
        pytest.param(IMAGES[:, :3], "shape (35, 3, 4)", id="not square"),
        pytest.param(IMAGES[:0], "shape (0, 4, 4)", id="no images"),
        pytest.param(IMAGES[:, :0, :0], "shape (35, 0, 0)", id="no pixels"),
        pytest.param(IMAGES.astype(str), "type <U3, expected whole numbers", id="text"),
        pytest.param(IMAGES.astype(complex), "type complex128", id="complex numbers"),
        pytest.param(IMAGES.astype(bool), "type bool", id="truth values"),
        pytest.param(IMAGES.astype("M8[s]"), "type datetime64[s]", id="dates"),
        pytest.param(_images_with(np.nan), "from nan to nan, expected 0 to 255", id="NaN"),
        pytest.param(_images_with(np.inf), "from 0.0 to inf", id="infinity"),
        pytest.param(_images_with(256), "from 0.0 to 256.0", id="above 255"),
        pytest.param(_images_with(256, "u2"), "from 0 to 256", id="above 255, integer"),
        pytest.param(_images_with(-1, "i2"), "from -1 to 34", id="below 0"),
        pytest.param(_images_with(0.5), "fractions (0.0 to 34.0)", id="fraction"),
        pytest.param(IMAGES / 100, "fractions (0.0 to 0.34)", id="scaled by something else"),
        pytest.param(IMAGES / 255 - 0.1, "from -0.1 to 0.0", id="scaled and shifted"),
        pytest.param(IMAGES % 2 * 1.0, "black and white or two levels", id="floats of 0 and 1"),
        pytest.param(COLOURS, "in colour, expected grey ones; `to_grey: true`", id="colours"),
    ],
)
def test_images_that_cannot_be_used_are_refused(
    tmp_path: Path, train: Path, images: npt.NDArray[Any], told: str
) -> None:
    broken = _write(tmp_path / "broken", images)
    for section in (sources(broken), sources(train, broken)):
        with pytest.raises(DataError) as caught:
            preparation.read(section, SEED, unheard)
        assert str(caught.value).startswith(f"{broken}: found ")
        assert told in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        pytest.param(LABELS[1:], "shape (34,), expected (35,): one for each image", id="too few"),
        pytest.param(LABELS[:0], "shape (0,)", id="none"),
        pytest.param(np.full((35, 2), 0.5), "shape (35, 2)", id="shares"),
        pytest.param(np.eye(35)[:, 1:], "shape (35, 34)", id="one-hot but for one"),
        pytest.param(1 - np.eye(35), "shape (35, 35)", id="one-cold"),
        pytest.param(np.array(["a", ""] * 17 + ["a"]), "a class named ''", id="no name"),
        pytest.param(np.array(["a", "b "] * 17 + ["a"]), "a class named 'b '", id="blanks"),
        pytest.param(np.array(["a", "\x1b[2J"] * 17 + ["a"]), "named '\\x1b[2J'", id="control"),
        pytest.param(np.array(["a", "x" * 101] * 17 + ["a"]), "1 to 100", id="endless name"),
        pytest.param(np.array([b"a", b"\xff"] * 17 + [b"a"]), "in UTF-8", id="no text"),
        pytest.param(_labels_with(np.nan), "from nan to nan", id="NaN"),
        pytest.param(_labels_with(0.5), "fractions", id="fraction"),
        pytest.param(_labels_with(-1, "i8"), "from -1 to 9", id="below 0"),
        pytest.param(_labels_with(2**31, "i8"), "from 3 to 2147483648", id="beyond 31 bits"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    tmp_path: Path, train: Path, labels: npt.NDArray[Any], told: str
) -> None:
    broken = _write(tmp_path / "broken", labels=labels)
    for section in (sources(broken), sources(train, broken)):
        with pytest.raises(DataError) as caught:
            preparation.read(section, SEED, unheard)
        assert str(caught.value).startswith(f"{broken}: found ")
        assert told in str(caught.value)


@pytest.mark.parametrize(("classes", "found"), [(1, "1 class"), (257, "257 class")])
def test_too_few_and_too_many_classes_are_refused(tmp_path: Path, classes: int, found: str) -> None:
    images = np.zeros((2 * classes, 4, 4), np.uint8)
    path = _write(tmp_path / "train", images, np.arange(2 * classes) % classes)
    with pytest.raises(DataError, match=f"found {found}"):
        preparation.read(sources(path), SEED, unheard)


def test_256_classes_fit(tmp_path: Path) -> None:
    path = _write(tmp_path / "train", np.zeros((512, 4, 4), np.uint8), np.arange(512) % 256 + 1000)
    dataset = preparation.read(sources(path), SEED, unheard)
    assert dataset.classes.tolist() == list(range(1000, 1256))
    assert np.unique(dataset.train_labels).tolist() == list(range(256))


def test_a_test_class_that_was_not_trained_on_is_refused(tmp_path: Path, train: Path) -> None:
    test = _write(tmp_path / "test", labels=_labels_with(4))
    with pytest.raises(DataError, match=r"found label\(s\) \[4\].*\[3, 7, 8, 9\]"):
        preparation.read(sources(train, test), SEED, unheard)


NAMES = np.where(LABELS < 8, LABELS.astype(str), "A")
DIGITS = LABELS < 8


def _csv(path: Path, labels: npt.NDArray[Any], images: npt.NDArray[Any] = IMAGES) -> Path:
    rows = zip(labels, images.reshape(-1, 16), strict=True)
    lines = [",".join(map(str, [label, *image])) for label, image in rows]
    path.write_text("\n".join(["label," + ",".join("p" * 16), *lines]))
    return path


def test_digits_are_names_where_another_part_has_letters_beside_them(tmp_path: Path) -> None:
    notes: list[str] = []
    for train, test in (
        (
            _csv(tmp_path / "train.csv", NAMES),
            _csv(tmp_path / "test.csv", NAMES[DIGITS], IMAGES[DIGITS]),
        ),
        (
            _write(tmp_path / "train.npz", labels=NAMES),
            _write(tmp_path / "test.npz", IMAGES[DIGITS], NAMES[DIGITS]),
        ),
    ):
        dataset = preparation.read(sources(train, test), SEED, notes.append)
        assert dataset.classes.tolist() == ["3", "7", "A"]
        assert np.bincount(dataset.test_labels).tolist() == [10, 20]
    assert notes == []


def test_digits_of_a_validation_part_are_names_where_the_training_part_has_letters(
    tmp_path: Path,
) -> None:
    np.savez(
        tmp_path / "a.npz",
        train_images=IMAGES,
        train_labels=NAMES,
        val_images=IMAGES[DIGITS],
        val_labels=NAMES[DIGITS],
    )
    section = sources(tmp_path / "a.npz", validation="train", test_fraction=1e-9)
    dataset = preparation.read(section, SEED, unheard)
    assert dataset.classes.tolist() == ["3", "7", "A"]
    assert np.bincount(dataset.train_labels).tolist() == [19, 39, 4]


def test_text_of_one_part_is_numbers_where_those_of_the_other_are(
    tmp_path: Path, train: Path
) -> None:
    test = _write(tmp_path / "test.npz", labels=LABELS.astype(str))
    notes: list[str] = []
    dataset = preparation.read(sources(train, test), SEED, notes.append)
    assert dataset.classes.tolist() == [3, 7, 8, 9]
    assert notes == [f"{test}: labels written as text taken as numbers"]


def test_numbers_are_not_taken_for_names_that_are_digits(tmp_path: Path, train: Path) -> None:
    named = _write(tmp_path / "named.npz", labels=NAMES)
    with pytest.raises(DataError, match=r"train\.npz: found label\(s\) \[3, 7, 8, 9\], expected"):
        preparation.read(sources(named, train), SEED, unheard)


def test_test_images_of_another_size_are_refused(tmp_path: Path, train: Path) -> None:
    test = _write(tmp_path / "test", IMAGES[:, :3, :3])
    with pytest.raises(DataError, match="found images of 3 x 3 pixels, expected 4 x 4 pixels"):
        preparation.read(sources(train, test), SEED, unheard)


def test_labels_become_indices_into_the_classes(tmp_path: Path, train: Path) -> None:
    chosen = [34, 0, 12]
    test = _write(tmp_path / "test", IMAGES[chosen], LABELS[chosen])
    dataset = preparation.read(sources(train, test), SEED, unheard)
    assert dataset.classes.tolist() == [3, 7, 8, 9]
    assert np.bincount(dataset.train_labels).tolist() == [10, 20, 3, 2]
    assert dataset.test_labels.tolist() == [3, 0, 1]
    np.testing.assert_array_equal(dataset.test_images, IMAGES[chosen])


def test_an_npz_with_a_test_part_of_its_own_holds_nothing_out(tmp_path: Path) -> None:
    path = tmp_path / "both.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:5], y_test=LABELS[:5])
    dataset = preparation.read(sources(path), SEED, unheard)
    np.testing.assert_array_equal(dataset.train_images, IMAGES)
    np.testing.assert_array_equal(dataset.test_images, IMAGES[:5])


@pytest.mark.parametrize("part", ["train", "test"])
def test_transposing_swaps_rows_and_columns(tmp_path: Path, part: str) -> None:
    images = np.arange(35 * 16, dtype=np.uint16).reshape(35, 4, 4) % 256
    path = _write(tmp_path / "train", images)
    section = sources(path, _write(tmp_path / "test", images), transpose=True)
    transposed = dict(preparation.read(section, SEED, unheard).arrays())[f"{part}_images"]
    assert transposed.flags.c_contiguous
    assert transposed[5, 1, 2] == images[5, 2, 1] != images[5, 1, 2]
    np.testing.assert_array_equal(transposed.transpose(0, 2, 1), images)


@pytest.mark.parametrize(
    ("fraction", "held_out"),
    [
        pytest.param(0.2, [2, 4, 1, 1], id="at least one of each class"),
        pytest.param(0.5, [5, 10, 2, 1], id="half"),
        pytest.param(0.99, [9, 19, 2, 1], id="never all of a class"),
        pytest.param(1e-9, [1, 1, 1, 1], id="next to nothing"),
    ],
)
def test_the_same_share_of_each_class_is_held_out(
    train: Path, fraction: float, held_out: list[int]
) -> None:
    dataset = preparation.read(sources(train, test_fraction=fraction), SEED, unheard)
    assert np.bincount(dataset.test_labels).tolist() == held_out
    assert (np.bincount(dataset.train_labels) + np.bincount(dataset.test_labels)).tolist() == [
        *(10, 20, 3, 2)
    ]


def test_no_image_is_lost_or_in_both_parts_and_each_keeps_its_label(train: Path) -> None:
    dataset = preparation.read(sources(train, test_fraction=0.3), SEED, unheard)
    images = np.concatenate([dataset.train_images, dataset.test_images])[:, 0, 0]
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert sorted(images.tolist()) == list(range(35))
    np.testing.assert_array_equal(dataset.classes[labels], LABELS[images])


def test_the_seed_alone_decides_what_is_held_out(train: Path) -> None:
    def held_out(seed: int) -> list[int]:
        found: list[int] = (
            preparation.read(sources(train), seed, unheard).test_images[:, 0, 0].tolist()
        )
        return found

    assert held_out(1) == held_out(1) != held_out(2)


def test_a_class_of_one_image_cannot_be_held_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "train", labels=_labels_with(4))
    with pytest.raises(DataError, match="found one image of class 4, expected two or more"):
        preparation.read(sources(path), SEED, unheard)


def test_other_labels_for_the_images_that_are_held_out_are_refused(
    tmp_path: Path, train: Path
) -> None:
    np.save(tmp_path / "labels.npy", LABELS)
    section = sources(train, test_labels=str(tmp_path / "labels.npy"))
    with pytest.raises(DataError, match=f"labels.npy: found other labels .* expected {train} ag"):
        preparation.read(section, SEED, unheard)


@pytest.mark.parametrize("array", [IMAGES, np.eye(4, dtype=np.uint8)[LABELS % 4]])
def test_one_array_is_not_taken_for_images_and_for_their_labels(
    tmp_path: Path, array: npt.NDArray[Any]
) -> None:
    np.save(tmp_path / "one.npy", array)
    with pytest.raises(DataError, match=r"one.npy: found an array of shape \(35, 4.* or labels"):
        preparation.read(sources(tmp_path / "one.npy"), SEED, unheard)


@pytest.mark.parametrize(("lightest", "told"), [(1, True), (16, True), (17, False)])
def test_images_that_are_nearly_black_are_told(tmp_path: Path, lightest: int, told: bool) -> None:
    path = _write(tmp_path / "train", np.minimum(IMAGES, lightest))
    notes: list[str] = []
    preparation.read(sources(path), SEED, notes.append)
    assert notes == [
        f"{path}: nearly black: taken as levels of 255, and none is above {lightest}"
    ] * int(told)


def test_the_summary_counts_duplicates_and_test_images_seen_in_training() -> None:
    dataset = Dataset(
        train_images=IMAGES[[0, 1, 1, 1, 2]],
        train_labels=np.array([0, 0, 0, 1, 1], np.uint8),
        test_images=IMAGES[[1, 2, 3, 3]],
        test_labels=np.array([0, 1, 0, 0], np.uint8),
        classes=np.array([3, 7]),
    )
    assert preparation.summary(dataset) == {
        "side": 4,
        "classes": [3, 7],
        "train_images": 5,
        "test_images": 4,
        "train_images_per_class": [3, 2],
        "test_images_per_class": [3, 1],
        "train_pixel_mean": 1.0,
        "train_duplicates": 2,
        "test_duplicates": 1,
        "test_images_in_train": 2,
    }


def test_what_is_saved_is_loaded_as_it_was_and_memory_mapped(
    tmp_path: Path, mnist: Dataset
) -> None:
    datasets.save(mnist, tmp_path)
    loaded = datasets.load(tmp_path)
    assert loaded.side == 28
    for (name, array), (loaded_name, mapped) in zip(mnist.arrays(), loaded.arrays(), strict=True):
        assert name == loaded_name
        assert isinstance(mapped, np.memmap)
        assert mapped.dtype == array.dtype
        np.testing.assert_array_equal(mapped, array)


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x93NUMPY\x01\x00"])
def test_a_prepared_array_that_is_missing_or_broken_names_the_stage_that_writes_it(
    tmp_path: Path, train: Path, content: bytes | None
) -> None:
    folder = tmp_path / "prepared"
    datasets.save(preparation.read(sources(train), SEED, unheard), folder)
    (folder / "test_labels.npy").unlink()
    if content is not None:
        (folder / "test_labels.npy").write_bytes(content)
    with pytest.raises(DataError, match=f"^{folder}.*`dvc repro prepare` writes it$"):
        datasets.load(folder)
