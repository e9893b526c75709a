"""Any number of training images, made of the real ones: `python -m benchmarks.tiles COUNT FOLDER`.

A process of its own, so that the measuring one stays small (see `processes.run`).
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks import processes
from pipeline.data.files import readers
from pipeline.params import PARAMS, load_params

NOISE = 8  # grey levels, exclusive: enough to make each tile's images others than the last's


def make(count: int | None, folder: Path) -> None:
    """Have `count` images, or those there are, written to `folder` by another process."""
    processes.run(sys.executable, "-m", "benchmarks.tiles", str(count or 0), folder)


def write(count: int, folder: Path) -> None:
    """Write images.idx and labels.idx: the real images over and over, until there are `count`.

    The first time round they are as they are; later with noise that follows from the round.
    """
    source = load_params(PARAMS).section("prepare")
    real = readers.read(Path(source.train_images), "images", "train")
    labels = readers.read(Path(source.train_labels), "labels", "train")
    count = count or len(real)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.idx").open("wb") as images, (folder / "labels.idx").open("wb") as names:
        images.write(_header(0x803, count, *real.shape[1:]))
        names.write(_header(0x801, count))
        for start in range(0, count, len(real)):
            tile = real[: count - start].astype(np.uint16)
            if start:
                generator = np.random.default_rng(start)
                tile += generator.integers(0, NOISE, tile.shape, np.uint16)
            images.write(np.minimum(tile, 255).astype(np.uint8).tobytes())
            names.write(labels[: count - start].astype(np.uint8).tobytes())


def _header(*numbers: int) -> bytes:
    return np.array(numbers, ">u4").tobytes()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write training images as IDX files.")
    parser.add_argument("count", type=int, help="0: as many as there are")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    write(options.count, options.folder)
