"""Arguments that several commands take, checked."""

import argparse
import os
from pathlib import Path

from pipeline.errors import StorageError


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Where a server listens: on this machine alone unless asked otherwise."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen on (%(default)s)")


def check_apart(output: Path, inputs: list[Path], option: str) -> None:
    """Refuse to write what is read: one of `inputs`, or into a folder of them.

    Raises:
        StorageError: `output`, given by `option`, is there.
    """
    # Unlike `resolve`, also where it can't be looked at.
    written = Path(os.path.realpath(output))
    for path in inputs:
        if written == (read := Path(os.path.realpath(path))):
            raise StorageError(f"{output}: is one of the images, which {option} would change")
        if read in written.parents:
            raise StorageError(f"{output}: is in {path}, whose images {option} would change")
