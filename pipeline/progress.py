"""How a training reports its progress to a person."""

import sys
import time
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
