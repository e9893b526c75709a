"""The columns of answers, whatever the pictures are called."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.files import readers
from pipeline.errors import DataError
from pipeline.params import PipelineParams
from pipeline.prediction.answers import answers


def test_a_name_that_is_no_text_is_written_with_escapes(
    params: PipelineParams, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")  # as Latin-1 has it
    folder.mkdir()
    for name in (b"na\xefve.png", "naïve.png".encode()):
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / os.fsdecode(name))
    (columns,) = answers(
        lambda images: {"class": np.zeros(len(images), np.int64)},
        readers.source(folder),
        params.section("prepare"),
    )
    assert columns["name"].tolist() == ["naïve.png", r"na\udcefve.png"]
    assert set(columns["input"]) == {f"{tmp_path}/caf" + r"\udce9"}
    "".join([*columns["name"], *columns["input"]]).encode()


def test_images_without_a_part_are_answered_beside_those_of_a_part(
    params: PipelineParams, tmp_path: Path
) -> None:
    images = np.arange(5, dtype=np.uint8).repeat(16).reshape(5, 4, 4) * 50
    np.savez(tmp_path / "a.npz", x_test=images[3:], images=images[:3])
    found = answers(
        lambda images: {"level": images[:, 0, 0]},
        readers.source(tmp_path / "a.npz"),
        params.section("prepare"),
    )
    columns = [(each["part"].tolist(), each["level"].tolist()) for each in found]
    assert columns == [(["", "", ""], [0, 50, 100]), (["test", "test"], [150, 200])]


def test_labels_alone_are_refused_by_their_path(params: PipelineParams, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", labels=np.arange(5))
    found = answers(lambda _: {}, readers.source(tmp_path / "a.npz"), params.section("prepare"))
    with pytest.raises(DataError, match=f"^{tmp_path}/a.npz: found labels, expected images"):
        next(found)
