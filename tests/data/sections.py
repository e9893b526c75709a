"""Sections `prepare` of params.yaml, as tests need them."""

from pathlib import Path
from typing import Any

from pipeline.data.files.sources import Sources


def sources(train: Path, test: Any = None, **settings: Any) -> Sources:
    """One whose images and labels are in `train`, and in `test` or there too."""
    paths = {
        "train_images": str(train),
        "train_labels": str(train),
        "test_images": str(test or train),
        "test_labels": str(test or train),
    }
    usual = {
        "validation": "leave_out",
        "test_fraction": 0.2,
        "to_grey": False,
        "transpose": False,
    }
    return Sources.model_validate({**paths, **usual, **settings})


def unheard(note: str) -> None:
    """What is told of a dataset, where a test is not about it."""
