"""DVC's record of who reads and writes what, freed of processes that are no more.

DVC keeps in `.dvc/tmp/rwlock` the number of each process that reads or writes a path. It drops one
that has died only if no other process has its number by now, as after a reboot or in a container
one may; then every command "is busy", for ever. Killed in writing the file, it refuses to read it.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from pipeline.outs import artifacts

FOLDER = Path(".dvc/tmp")
RECORD = FOLDER / "rwlock"
GUARD = FOLDER / "rwlock.lock"  # locked by a DVC process while it changes the record
ALONE = FOLDER / "repro.lock"  # ours: locked while a `make repro` runs
LOOK = 0.5  # seconds from one look at the record to the next
CLOCK = 2  # seconds: Linux counts a process's start from a boot time that is in whole ones


class Holder(NamedTuple):
    """A process in the record, and whether it is the DVC that made the entry, and lives."""

    command: str
    lives: bool


@contextmanager
def alone(root: Path = Path()) -> Iterator[None]:
    """Wait, with a line, while another `make repro` runs in `root`; hold others off meanwhile.

    The kernel unlocks the file when the process ends, however it does.
    """
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    with (root / ALONE).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another `make repro` runs here; waiting for it to end ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def release_dead(root: Path = Path()) -> str | None:
    """Remove what dead processes hold, or the whole record where it is no record.

    Returns:
        What was done, in a line; None if there was nothing to do.
    """
    record = root / RECORD
    if not record.exists():
        return None
    with (root / GUARD).open("ab") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            held, written = json.loads(record.read_bytes()), record.stat().st_mtime
            kept = _kept(held, written)
        except (ValueError, KeyError, TypeError, AttributeError):
            record.unlink()
            return f"{RECORD}: was cut short when DVC was killed; removed"
        if kept == held:
            return None
        artifacts.write_text(record, json.dumps(kept))
    return f"{RECORD}: was held by a DVC that has died; released"


def wait_for_living(root: Path = Path()) -> None:
    """Wait, with a line, while a DVC that lives reads or writes here; it would refuse a second one.

    `make repro` may have been killed without the DVC that it had started, for one.
    """
    waited_for: set[int] = set()
    release_dead(root)
    while holders := holders_of(root):
        if new := holders.keys() - waited_for:
            names = ", ".join(
                f"`{holders[number].command}` (process {number})" for number in sorted(new)
            )
            print(f"{names} is at work here; waiting for it to end ...", flush=True)
            waited_for |= new
        time.sleep(LOOK)
        release_dead(root)


def holders_of(root: Path = Path()) -> dict[int, Holder]:
    """The processes in the record, by number; none while it is being written."""
    record = root / RECORD
    try:
        held, written = json.loads(record.read_bytes()), record.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return {}
    readers = [who for all_ in held.get("read", {}).values() for who in all_]
    return {
        who["pid"]: Holder(who["cmd"], _lives(who, written))
        for who in (*readers, *held.get("write", {}).values())
    }


def _kept(held: dict[str, Any], written: float) -> dict[str, Any]:
    """What of `held` belongs to processes that are alive."""
    kept = dict(held)
    if writers := held.get("write"):
        kept["write"] = {path: who for path, who in writers.items() if _lives(who, written)}
    if readers := held.get("read"):
        kept["read"] = {
            path: [who for who in all_ if _lives(who, written)] for path, all_ in readers.items()
        }
    return kept


def _lives(holder: dict[str, Any], written: float) -> bool:
    """Whether the process of that number is the DVC that made the entry.

    It is not if it started after the record was last `written`, or is no DVC.
    """
    try:
        process = psutil.Process(holder["pid"])
        return process.create_time() <= written + CLOCK and any(
            "dvc" in Path(argument).parts for argument in process.cmdline()
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's: who knows
        return True
