"""The columns of answers, whatever the pictures are called."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.files import readers
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
