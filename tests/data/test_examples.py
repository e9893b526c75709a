"""An epoch has every example once, in an order that follows from seed, epoch and budget alone."""

from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import examples
from pipeline.data.examples import Array, Examples

SEED, COUNT, CHUNK = 7, 1000, 64
BUDGETS = [float("inf"), 64 * 3 * 4, 64 * 4, 1]  # bytes: all, three chunks, one, less than one


def numbered() -> Examples:
    """Inputs of four bytes that tell their place, labels that tell it modulo 256."""
    places = np.arange(COUNT, dtype=np.uint32)
    return places.view(np.uint8).reshape(COUNT, 2, 2), places.astype(np.uint8)


def places(chunks: list[Examples]) -> list[list[int]]:
    """The places of the examples in each chunk, which the labels must agree with."""
    for inputs, labels in chunks:
        assert np.array_equal(inputs[:, 0, 0], labels)
    return [inputs.reshape(-1, 4).view(np.uint32).ravel().tolist() for inputs, _ in chunks]


def epochs(data: Examples, budget: float, first: int = 0, count: int = 2) -> list[list[list[int]]]:
    chunks = examples.shuffled(
        data, CHUNK, seed=SEED, epochs=range(first, first + count), budget=budget
    )
    each = -(-COUNT // CHUNK)
    taken = [places(list(islice(chunks, each))) for _ in range(count)]
    assert list(chunks) == []
    return taken


@pytest.mark.parametrize("budget", BUDGETS)
def test_an_epoch_has_every_example_once_in_whole_chunks_but_the_last(budget: float) -> None:
    for chunks in epochs(numbered(), budget):
        assert sorted(place for chunk in chunks for place in chunk) == list(range(COUNT))
        assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK}


@pytest.mark.parametrize("budget", BUDGETS)
def test_any_epoch_can_be_the_first(budget: float) -> None:
    whole = epochs(numbered(), budget, count=4)
    assert epochs(numbered(), budget, first=2) == whole[2:]
    assert whole[0] != whole[1]


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_order_is_the_same_from_memory_and_from_a_file(tmp_path: Path, budget: float) -> None:
    data = numbered()
    mapped: list[Array] = []
    for name, array in zip(("inputs", "labels"), data, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    assert epochs((mapped[0], mapped[1]), budget) == epochs(data, budget)


def test_an_order_within_the_budget_is_one_permutation() -> None:
    (chunks,) = epochs(numbered(), float("inf"), first=3, count=1)
    order = [place for chunk in chunks for place in chunk]
    assert order == np.random.default_rng((SEED, 3)).permutation(COUNT).tolist()


def test_beyond_the_budget_so_much_is_read_at_a_time() -> None:
    (chunks,) = epochs(numbered(), 64 * 3 * 4, count=1)
    windows = [[*chain(*chunks[first : first + 3])] for first in range(0, len(chunks), 3)]
    for window in windows:
        assert len({place // CHUNK for place in window}) <= 3
        assert window != sorted(window)
    first = [window[0] // CHUNK for window in windows]
    assert first != sorted(first)


def test_a_chunk_is_of_whole_batches() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    assert examples.chunk_size(image, 32) % 32 == 0
    assert examples.chunk_size(image, 32) * image.nbytes <= examples.CHUNK_BYTES
    assert examples.chunk_size(image, 10**6) == 10**6  # one batch at least
