"""How much memory of Python's a block holds at a time."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@pytest.fixture(scope="module")
def traced() -> Iterator[None]:
    """Count what Python allocates, all the while: to stop it beside Arrow's threads can crash."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@contextmanager
def peak_below(memory: int) -> Iterator[None]:
    """What the block holds at a time is less than that, bytes; `traced` has to be in use."""
    assert tracemalloc.is_tracing()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    yield
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < memory
