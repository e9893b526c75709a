"""Figures drawn beside the work that their arrays come from, on whatever cores there are."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, Self

from matplotlib.figure import Figure

from pipeline.outs import artifacts, machine


class FigurePool:
    """Figures, each drawn in a copy of this process: a context manager.

    The copies are made with the first figures, in the style that is applied then. That has to be
    before TensorFlow is started, whose threads a copy lacks.
    """

    def __init__(self) -> None:
        cores = machine.cores()
        self.pool = ProcessPoolExecutor(cores, multiprocessing.get_context("fork"))
        self.figures: dict[str, Future[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pool.shutdown(cancel_futures=True)

    def draw(self, name: str, figure: Callable[..., Figure], *arguments: Any) -> None:
        """Draw what `figure` makes of `arguments`, as `name`."""
        self.figures[name] = self.pool.submit(_drawn, figure, arguments)

    def finished(self) -> dict[str, bytes]:
        """Every figure as a PNG, by name; raises what drawing one has raised."""
        return {name: drawn.result() for name, drawn in self.figures.items()}


def _drawn(figure: Callable[..., Figure], arguments: tuple[Any, ...]) -> bytes:
    return artifacts.png(figure(*arguments))
