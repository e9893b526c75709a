"""A champion's answers to files and folders of images, as a table or as arrays."""

import contextlib
import csv
import json
import os
import pty
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import __main__
from tests.whole.repositories import Repository

pytestmark = pytest.mark.slow

DIGITS = "data/raw/mnist_test.pkl"
# Answers for an input into one file after the other.
ANOTHER_PROCESS = """
import sys
from pipeline import __main__
_, images, *outputs = sys.argv
for output in outputs:
    __main__.main(["predict", images, "--output", output])
"""


def predict(repository: Repository, *arguments: str, code: int = 0) -> str:
    return repository.main("predict", *arguments, code=code)


def test_the_same_table_in_each_form_is_as_good_as_the_metrics_say(
    promoted: Repository, tmp_path: Path
) -> None:
    for ending in ("csv", "parquet", "npz"):
        printed = predict(promoted, DIGITS, "--output", str(tmp_path / f"answers.{ending}"))
        assert printed.splitlines()[0] == "mnist-classifier version 1"
        assert printed.splitlines()[-1].startswith("200 images: ")
    table = pd.read_csv(tmp_path / "answers.csv")
    assert list(table) == [
        *("input", "part", "number", "name", "class"),
        *(f"probability_{digit}" for digit in range(10)),
    ]
    parquet = pd.read_parquet(tmp_path / "answers.parquet")
    with np.load(tmp_path / "answers.npz") as arrays:
        for name in ("number", "class", "probability_7"):
            np.testing.assert_array_equal(table[name].astype(arrays[name].dtype), arrays[name])
            np.testing.assert_array_equal(parquet[name], arrays[name])
    labels = np.load(promoted.path / "data/prepared/test_labels.npy")
    stated = json.loads((promoted.path / "data/metrics/train_classifier.json").read_text())
    assert (table["class"] == labels).mean() == pytest.approx(stated["test_accuracy"])


def test_the_same_input_gives_the_same_bytes(promoted: Repository, tmp_path: Path) -> None:
    names = ("answers.csv", "answers.parquet", "answers.npz")
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    for name in names:
        predict(promoted, DIGITS, "--output", str(first / name))
    promoted.python("-c", ANOTHER_PROCESS, DIGITS, *(str(second / name) for name in names))
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_an_autoencoder_gives_reconstructions_and_how_far_they_are_off(
    promoted: Repository, tmp_path: Path
) -> None:
    arguments = (DIGITS, "--stage", "train_dense_ae", "--output")
    predict(promoted, *arguments, str(tmp_path / "all.npz"))
    predict(promoted, *arguments, str(tmp_path / "table.csv"))
    stated = json.loads((promoted.path / "data/metrics/train_dense_ae.json").read_text())
    images = np.load(promoted.path / "data/prepared/test_images.npy") / 255
    with np.load(tmp_path / "all.npz") as arrays:
        error = np.mean((arrays["reconstruction"] - images) ** 2)
        assert error == pytest.approx(stated["test_mse"], abs=1e-6)
        own = arrays["squared_error"].mean()
    table = pd.read_csv(tmp_path / "table.csv")
    assert "reconstruction" not in table
    assert table["squared_error"].mean() == pytest.approx(own) == pytest.approx(error)


def test_pictures_are_answered_by_their_names(promoted: Repository, tmp_path: Path) -> None:
    images = np.load(promoted.path / "data/prepared/test_images.npy")[:6]
    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{'fedcba'[number]}.png")
    predict(promoted, str(tmp_path / "pictures"), "--output", str(tmp_path / "named.csv"))
    predict(promoted, DIGITS, "--output", str(tmp_path / "numbered.csv"))
    with (tmp_path / "named.csv").open() as file:
        named = {row["name"]: row["class"] for row in csv.DictReader(file)}
    with (tmp_path / "numbered.csv").open() as file:
        numbered = [row["class"] for row in csv.DictReader(file)][:6]
    assert named == {f"{name}.png": digit for name, digit in zip("fedcba", numbered, strict=True)}


def test_several_inputs_are_one_table_and_a_file_with_parts_is_taken_whole(
    promoted: Repository, tmp_path: Path
) -> None:
    images = np.load(promoted.path / "data/prepared/test_images.npy")
    np.savez(tmp_path / "two.npz", train_images=images[:3], test_images=images[3:5])
    output = tmp_path / "answers.csv"
    predict(promoted, str(tmp_path / "two.npz"), DIGITS, "--output", str(output))
    table = pd.read_csv(output, keep_default_na=False)
    assert table["part"].tolist() == ["train"] * 3 + ["test"] * 2 + [""] * 200
    assert table["number"].tolist() == [0, 1, 2, 0, 1, *range(200)]
    assert table["class"].tolist()[:5] == table["class"].tolist()[5:10]


def test_what_can_not_be_answered_is_one_line_and_writes_nothing(
    promoted: Repository, tmp_path: Path
) -> None:
    np.save(tmp_path / "small.npy", np.zeros((3, 14, 14), np.uint8))
    (tmp_path / "there.csv").write_text("kept")
    (tmp_path / "link.csv").symlink_to("nothing")
    output = str(tmp_path / "answers.csv")
    for arguments, told in (
        ((str(tmp_path / "small.npy"), "--output", output), "found shape (3, 14, 14), expected"),
        (("nothing.npy", "--output", output), "nothing.npy: "),
        ((DIGITS, "nothing.npy", "--output", output), "nothing.npy: "),
        (
            (DIGITS, "--output", str(tmp_path / "there.csv")),
            "found something there, expected nothing",
        ),
        ((DIGITS, "--output", str(tmp_path / "link.csv")), "found something there"),
        ((str(tmp_path), "--output", output), f"is in {tmp_path}, whose images --output would"),
        ((DIGITS, "--output", str(tmp_path / f"{'x' * 300}.csv")), "File name too long"),
        ((DIGITS, "--output", str(tmp_path / "a.txt")), "found the ending '.txt', expected .csv"),
    ):
        last = predict(promoted, *arguments, code=1).splitlines()[-1]
        assert last.startswith("error: ")
        assert told in last
    assert {path.name for path in tmp_path.iterdir()} == {"small.npy", "there.csv", "link.csv"}
    assert (tmp_path / "there.csv").read_text() == "kept"


def test_a_terminal_sees_the_count_grow_and_an_error_in_a_line_of_its_own(
    promoted: Repository, tmp_path: Path
) -> None:
    np.save(tmp_path / "small.npy", np.zeros((3, 14, 14), np.uint8))
    inputs = (DIGITS, str(tmp_path / "small.npy"))
    ours, theirs = pty.openpty()
    with (
        promoted.entered(),
        os.fdopen(theirs, "w", buffering=1) as terminal,
        contextlib.redirect_stderr(terminal),
        pytest.raises(SystemExit, match=r"^1$"),
    ):
        __main__.main(["predict", *inputs, "--output", str(tmp_path / "a.csv")])
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    *_, counted, told = shown.splitlines()
    assert counted.endswith("200 images")
    assert told.startswith("error: ")


def test_without_a_terminal_or_any_standard_error_it_answers_as_well(
    promoted: Repository, tmp_path: Path
) -> None:
    script = '"$0" -m pipeline predict "$1" --output "$2" 2>&-'
    promoted.run("sh", "-c", script, sys.executable, DIGITS, str(tmp_path / "answers.csv"))
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 201


def test_without_a_champion_it_says_what_makes_one(repository: Repository, tmp_path: Path) -> None:
    told = predict(repository, DIGITS, "--output", str(tmp_path / "answers.csv"), code=1)
    assert told == (
        "error: mnist-classifier: found no champion, expected one; `make promote` makes it\n"
    )
