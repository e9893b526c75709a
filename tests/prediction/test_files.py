"""Files of predictions: what was written comes back, whatever the names are, in little memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.prediction import ENDINGS
from pipeline.prediction.files import FORMS, Columns
from tests.memory import peak_below, traced  # noqa: F401 - a fixture

NAMES = [
    "a,b.png",
    'q"q.png',
    "new\nline.png",
    "carriage\rreturn.png",
    "crlf\r\n.png",
    "ü 数.png",
    "",
]


def columns(count: int) -> Columns:
    return {
        "name": np.array([NAMES[index % len(NAMES)] for index in range(count)]),
        "part": np.full(count, ""),
        "number": np.arange(count),
        "class": np.array(["T-shirt, top", "ß"])[np.arange(count) % 2],
        "probability": np.float32(0.1) ** np.arange(count, dtype=np.float32),
    }


def read(path: Path) -> dict[str, list[str | float]]:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: array.tolist() for name, array in arrays.items()}
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_dict("list")
    table = pd.read_csv(path, keep_default_na=False, dtype={"probability": np.float32})
    return table.to_dict("list")


@pytest.mark.parametrize("ending", ENDINGS)
def test_batches_come_back_as_one_table_of_the_same_text_and_figures(
    ending: str, tmp_path: Path
) -> None:
    batches = [columns(len(NAMES)), columns(3)]
    path = tmp_path / f"answers{ending}"
    FORMS[ending](path, batches)
    written = {
        name: np.concatenate([batch[name] for batch in batches]).tolist() for name in batches[0]
    }
    assert read(path) == written


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_memory_does_not_grow_with_the_length_of_an_inputs_path(
    ending: str, tmp_path: Path
) -> None:
    texts = np.full(1000, "/" + "long/" * 100)
    with peak_below(30 * 2**20):  # of 100 MB in all, as NumPy has it
        FORMS[ending](tmp_path / f"answers{ending}", ({"input": texts} for _ in range(50)))


def test_an_array_keeps_its_shape_and_type(tmp_path: Path) -> None:
    images = np.arange(5 * 4 * 4, dtype=np.float32).reshape(5, 4, 4)
    pieces = [{"reconstruction": images[:2]}, {"reconstruction": images[2:]}]
    FORMS[".npz"](tmp_path / "answers.npz", pieces)
    with np.load(tmp_path / "answers.npz") as arrays:
        np.testing.assert_array_equal(arrays["reconstruction"], images, strict=True)
