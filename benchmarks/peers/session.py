"""What every peer shares: its command line, its data, the clock, and the line that it prints."""

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KNOWN = ("classifier", "dense_ae", "conv_ae")  # the models that the peers are written for


def arguments() -> argparse.Namespace:
    """MODEL, --data, --epochs, --cpu-isa, --held-out and --memory-budget."""
    parser = argparse.ArgumentParser(description="Train one model; print its figures as JSON.")
    parser.add_argument("model")
    parser.add_argument("--data", required=True, type=Path, help="folder that `tiles` wrote")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument(
        "--cpu-isa",
        choices=("avx2", "native"),
        default="avx2",
        help="cap the instruction set or not, if the peer has a setting of its own for it",
    )
    parser.add_argument(
        "--held-out", action="store_true", help="measure on images held out, if the peer does"
    )
    parser.add_argument(
        "--memory-budget",
        type=float,
        default=math.inf,
        help="MiB of images read at a time, if the peer can",
    )
    return parser.parse_args()


def load(folder: Path) -> "tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]":
    """Images, uint8 (n, 28, 28), and labels, uint8 (n,), from the IDX files of `tiles`."""
    # Late: this pipeline pins its runtime before NumPy is imported.
    import numpy as np

    images = np.fromfile(folder / "images.idx", np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.fromfile(folder / "labels.idx", np.uint8, offset=8)


class Clock:
    """Times epochs, from the end of one to the end of the next.

    So the first one, in which graphs are traced and code is compiled, is not counted.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.marks: list[tuple[float, float]] = []

    def epoch(self, loss: float) -> None:
        """An epoch has ended with `loss`, the mean over its images while the weights changed."""
        self.losses.append(loss)
        self.marks.append((time.perf_counter(), time.process_time()))

    def report(self, library: str, parameters: int, **more: int) -> None:
        """Print a line of JSON.

        `library` with its version, `parameters` of the model, the `losses` of all epochs; and the
        mean `seconds` and `core_seconds` (user and system, of all threads) of an epoch, 0 if there
        was only one.
        """
        (wall, cpu), (last_wall, last_cpu) = self.marks[0], self.marks[-1]
        timed = max(len(self.marks) - 1, 1)
        figures = {
            "library": library,
            "parameters": parameters,
            "losses": self.losses,
            "seconds": (last_wall - wall) / timed,
            "core_seconds": (last_cpu - cpu) / timed,
        }
        print(json.dumps(figures | more))
