"""What a model makes of the images of a source, in columns."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow.exceptions import MlflowException

from pipeline.data.datasets import Images
from pipeline.data.files import images
from pipeline.data.files.holding import Part
from pipeline.data.files.readers import Source
from pipeline.data.files.sources import Sources
from pipeline.errors import DataError
from pipeline.prediction.files import Columns

STEP = 4096  # images at a time; a reconstruction takes four times the memory of its image


def answers(model: Any, source: Source, settings: Sources) -> Iterator[Columns]:
    """The columns of each batch of images that `source` holds, of all of its parts.

    Args:
        model: as MLflow loads it for Python.
        source: of the images.
        settings: `to_grey` and `transpose`, as for the images that it was trained on.

    Raises:
        DataError: they can't be read, or are of another size than the model takes.
    """
    whole: tuple[Part, ...] = ("test",)  # any will do where there are no parts
    for part in source.holding.parts or whole:
        number, names = 0, source.holding.named(part)
        for batch in _batches(source, part, settings):
            called = np.array(list(islice(names, len(batch))), dtype=str)
            yield {
                "input": np.full(len(batch), str(source.path)),
                "part": np.full(len(batch), part if source.holding.parts else ""),
                "number": np.arange(number, number + len(batch)),
                "name": called if len(called) else np.full(len(batch), ""),
                **_answer(model, source.path, batch),
            }
            number += len(batch)


def _batches(source: Source, part: Part, settings: Sources) -> Iterator[Images]:
    def note(text: str) -> None:
        print(f"{source.path}: {text}", file=sys.stderr)

    chunks = images.batches(
        source, part, note, to_grey=settings.to_grey, transpose=settings.transpose
    )
    for chunk in chunks:
        for first in range(0, len(chunk), STEP):
            yield chunk[first : first + STEP]


def _answer(model: Any, path: Path, batch: Images) -> dict[str, npt.NDArray[Any]]:
    try:
        answer = model.predict(batch)
    except MlflowException as error:
        raise DataError(f"{path}: {error.message}") from None
    if not isinstance(answer, dict):
        errors = np.square(answer - batch / np.float32(255)).mean(axis=(1, 2))
        return {"squared_error": errors, "reconstruction": answer}
    probabilities = answer["probabilities"]
    classes = model.metadata.flavors["python_function"]["config"]["classes"]
    return {
        "class": answer["class"],
        **{f"probability_{name}": probabilities[:, i] for i, name in enumerate(classes)},
    }
