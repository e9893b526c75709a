"""What dvc.lock says of a stage, or what it will say: the hashes behind a result."""

import fcntl
import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pipeline import params, stage_files
from pipeline.errors import LockError, ParamsError
from pipeline.outs import paths

Hashes = dict[str, str]

MAKES_LOCK = "`make repro` writes it"
CONFLICT = b"\n<<<<<<< "  # what git begins a part with that two branches have changed


@dataclass(frozen=True)
class StageState:
    """A stage with what it was made from and what it made.

    Attributes:
        name: as in dvc.yaml.
        cmd: the command that DVC runs.
        deps: path to md5, of code and data.
        params: the params the stage depends on, as dvc.yaml names them.
        outs: path to md5.
    """

    name: str
    cmd: str
    deps: Hashes
    params: dict[str, Any]
    outs: Hashes

    @property
    def fingerprint(self) -> str:
        """Names the inputs: equal fingerprints mean equal outs, since stages are deterministic."""
        inputs = {"cmd": self.cmd, "deps": self.deps, "params": self.params}
        return hashlib.md5(json.dumps(inputs, sort_keys=True).encode()).hexdigest()  # noqa: S324


def names(root: Path = Path()) -> list[str]:
    """The stages of dvc.lock that dvc.yaml has, each after those that it depends on.

    Raises:
        LockError: dvc.lock is missing, or lacks a stage.
    """
    with _no_writer(root):
        recorded = stage_files.document(root / paths.LOCK, MAKES_LOCK).get("stages", {})
    asked = stage_files.names(root)
    # Of a stage that dvc.yaml makes several of, each is called after it: train@1.
    found = [name for name in recorded if name.split("@")[0] in asked]
    for name in {*asked} - {name.split("@")[0] for name in found}:
        locked(name, root)
    needed = needs({name: locked(name, root) for name in found})
    ordered: list[str] = []
    while left := [name for name in found if name not in ordered]:
        ordered += [name for name in left if needed[name] <= set(ordered)]
    return ordered


def needs(states: Mapping[str, StageState]) -> dict[str, set[str]]:
    """The stages whose outs each one depends on."""
    return {
        name: {
            maker
            for maker, other in states.items()
            if any(_overlap(dep, out) for dep in state.deps for out in other.outs)
        }
        for name, state in states.items()
    }


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or a folder that it is in."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith(f"{short}/")


def locked(stage: str, root: Path = Path()) -> StageState:
    """The state of `stage` that dvc.lock records.

    Raises:
        LockError: dvc.lock is missing or has no such stage.
    """
    path = root / paths.LOCK
    with _no_writer(root):
        entry = stage_files.document(path, MAKES_LOCK).get("stages", {}).get(stage)
    if entry is None:
        raise LockError(f"{path}: found no stage '{stage}', expected one; `make repro` runs it")
    return StageState(
        name=stage,
        cmd=_command(entry),
        deps={dep["path"]: dep["md5"] for dep in entry.get("deps", [])},
        params=entry.get("params", {}).get(str(params.PARAMS), {}),
        outs={out["path"]: out["md5"] for out in entry.get("outs", [])},
    )


def mend(root: Path = Path()) -> bool:
    """Replace a dvc.lock that lacks its end, as a DVC that is killed while it writes leaves it.

    DVC refuses to read one. The committed one takes its place, or none: DVC's run cache knows the
    outs of whatever has run since.

    Raises:
        LockError: it has the marks of a merge conflict.

    Returns:
        Whether it did.
    """
    path = root / paths.LOCK
    with _no_writer(root):
        if path.exists() and CONFLICT in path.read_bytes():
            raise LockError(
                f"{path}: found the marks of a merge conflict, expected none; "
                f"`git checkout --ours {paths.LOCK}`, then `make repro` brings it up to date"
            )
        cut_short = path.exists() and not path.read_bytes().endswith(b"\n")
        if cut_short:
            path.unlink()
            command = ("git", "checkout", "--quiet", "--", paths.LOCK)
            subprocess.run(command, cwd=root, stderr=subprocess.DEVNULL, check=False)
    return cut_short


def current(stage: str, root: Path = Path()) -> StageState:
    """The state of `stage` as the working tree has it: what DVC will record when it ends.

    Raises:
        LockError: dvc.yaml has no such stage, or a dep is missing.
        ParamsError: params.yaml can't be read, or lacks what dvc.yaml names.
    """
    entry = stage_files.document(root / stage_files.PIPELINE).get("stages", {}).get(stage)
    if entry is None:
        raise LockError(f"{stage_files.PIPELINE}: found no stage '{stage}', expected one")
    source = root / params.PARAMS
    document = params.read(source)
    return StageState(
        name=stage,
        cmd=_command(entry),
        deps=hashes((_interpolated(dep, document, source) for dep in entry.get("deps", [])), root),
        params={key: _value(document, key, source) for key in entry.get("params", [])},
        outs=hashes((path for path in _outs(entry) if (root / path).exists()), root),
    )


@contextmanager
def held(before: StageState) -> Iterator[None]:
    """Let a stage make its results, and refuse them if it does not depend on `before` any more.

    DVC hashes deps and params when the command has ended: it would record the results of the old
    ones as those of the new.

    Raises:
        LockError: the command, a dep or a param is another when the block ends.
    """
    yield
    now = current(before.name)
    changed = [
        name
        for old, new in ((before.deps, now.deps), (before.params, now.params))
        for name in old
        if old[name] != new[name]
    ]
    if before.fingerprint != now.fingerprint:
        raise LockError(
            f"{before.name}: {', '.join(changed) or 'dvc.yaml'} changed while it ran, expected "
            "what it began with; its results are not kept, `make repro` runs it again"
        )


def hashes(paths: Iterable[str], root: Path = Path()) -> Hashes:
    """The md5 of each path, relative to `root`, as DVC computes it.

    Raises:
        LockError: a path can't be read.
    """
    try:
        return {path: _md5(root / path) for path in paths}
    except OSError as error:
        raise LockError(f"{error.filename}: can't be read: {error.strerror}") from None


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested sections, each under its dotted key, `prefix` before it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value


@contextmanager
def _no_writer(root: Path) -> Iterator[None]:
    """Hold DVC off: it writes dvc.lock in place, so that a reader beside it may find half of it.

    DVC's own lock is this file, locked; whoever finds it locked tries again (dvc/lock.py).
    """
    try:
        file = (root / paths.DVC_LOCK).open("rb")
    except OSError:  # no DVC has run here, or it is another user's
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _value(document: Any, key: str, source: Path) -> Any:
    try:
        return reduce(dict.__getitem__, key.split("."), document)
    except (KeyError, TypeError):  # TypeError: what is to hold it is no section
        raise ParamsError(
            f"{source}: found no '{key}', expected one; {stage_files.PIPELINE} names it"
        ) from None


def _interpolated(text: str, document: Any, source: Path) -> str:
    """`text` with each ${key} replaced by the param of that name, as DVC does it."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(_value(document, match[1], source)), text)


def _command(entry: dict[str, Any]) -> str:
    """What the shell is given; dvc.yaml may have a list."""
    command = entry["cmd"]
    return command if isinstance(command, str) else " && ".join(command)


def _outs(entry: dict[str, Any]) -> list[str]:
    outs = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in outs]


def _md5(path: Path) -> str:
    if path.is_dir():
        # DVC's own form of a folder: a JSON list of its files, hashed, with ".dir" behind it.
        files = sorted(
            (file.relative_to(path).as_posix(), _md5(file))
            for file in path.rglob("*")
            if file.is_file() and not _ignored(file)
        )
        listing = [{"md5": md5, "relpath": relpath} for relpath, md5 in files]
        return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"  # noqa: S324
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _ignored(file: Path) -> bool:
    """As .dvcignore says."""
    return "__pycache__" in file.parts or file.suffix == ".partial" or file.name == ".gitignore"
