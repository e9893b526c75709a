"""Images gathered: in memory, or in a file that ends with them."""

import resource
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.datasets import Images
from pipeline.data.files import gathering, preparation
from pipeline.data.files.gathering import gathered
from pipeline.errors import StorageError
from tests.data.sections import sources, unheard
from tests.data.test_forms import IMAGES, LABELS
from tests.data.test_prepare import _limit


def pieces() -> Iterator[Images]:
    yield from (IMAGES[first:last] for first, last in pairwise([0, 7, 8, 50, 120]))


@pytest.fixture
def _little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gathering, "IN_MEMORY", 20 * 784)
    monkeypatch.chdir(tmp_path)


def test_few_images_are_gathered_in_memory() -> None:
    found = gathered(pieces())
    assert not isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, IMAGES)


@pytest.mark.usefixtures("_little_memory")
def test_many_images_are_gathered_in_a_file_of_which_nothing_stays(tmp_path: Path) -> None:
    found = gathered(pieces())
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, IMAGES)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("_little_memory")
def test_a_dataset_is_the_same_from_memory_and_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    mapped = preparation.read(sources(tmp_path / "a.npz"), 42, unheard)
    assert isinstance(mapped.train_images, np.memmap)
    monkeypatch.setattr(gathering, "IN_MEMORY", 2**30)
    plain = preparation.read(sources(tmp_path / "a.npz"), 42, unheard)
    for (name, one), (_, other) in zip(mapped.arrays(), plain.arrays(), strict=True):
        np.testing.assert_array_equal(one, other, name)
    assert preparation.summary(mapped) == preparation.summary(plain)


@pytest.mark.usefixtures("_little_memory")
def test_no_room_for_the_file_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        _limit(resource.RLIMIT_FSIZE, 30 * 784),
        pytest.raises(StorageError, match=f"^{tmp_path}: images can't be gathered .*: File too la"),
    ):
        gathered(pieces())
    assert [*tmp_path.iterdir()] == []
