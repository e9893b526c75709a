"""How a training reports its progress to a person."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.outs.artifacts import Row
    from pipeline.training.fit import OnEpoch

BAR = 24  # characters


def reporter(epochs: int) -> "OnEpoch":
    """A receiver of rows that draws a bar on a terminal, and prints a plain line elsewhere."""
    width, terminal = len(str(epochs)), sys.stdout.isatty()
    last = time.perf_counter()

    def report(row: "Row") -> None:
        nonlocal last
        now = time.perf_counter()
        epoch, seconds, last = int(row["epoch"]), now - last, now
        figures = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
        line = f"epoch {epoch:>{width}}/{epochs}  {figures}  {seconds:.2f} s"
        if not terminal:
            print(line, flush=True)
            return
        done = "━" * (BAR * epoch // epochs)
        end = "\n" if epoch == epochs else ""
        print(f"\r\033[2K{done:<{BAR}} {line}", end=end, flush=True)

    return report


def result(metrics: Mapping[str, float | None]) -> str:
    """The final `metrics` in a line; None is a target that was not reached.

    A training prints it when it ends: others may go on for a while, and the table comes last.
    """
    return "result  " + "  ".join(f"{name} {_figure(value)}" for name, value in metrics.items())


def _figure(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
