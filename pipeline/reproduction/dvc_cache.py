"""What DVC's cache holds: outs and deps by md5, a folder as a list of its files."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

from pipeline.errors import RepositoryError
from pipeline.outs.dvc_lock import Hashes

FOLDER = ".dir"  # what DVC lets the md5 of a folder end with


@cache
def folder() -> Path:
    """Where it is.

    Raises:
        RepositoryError: DVC can't say.
    """
    command = (sys.executable, "-m", "dvc", "cache", "dir")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RepositoryError(f"dvc cache dir: {' '.join(done.stderr.split())}")
    return Path(done.stdout.strip()) / "files/md5"


def place(md5: str) -> Path:
    """Where what has this md5 lies, if the cache holds it."""
    return folder() / md5[:2] / md5[2:]


def files(path: str, md5: str) -> Hashes | None:
    """The md5 of each file of an out or dep, by path; None where it does not know the folder."""
    if not md5.endswith(FOLDER):
        return {path: md5}
    listing = place(md5)
    if not listing.is_file():
        return None
    listed: list[dict[str, str]] = json.loads(listing.read_text())
    return {f"{path}/{file['relpath']}": file["md5"] for file in listed}
