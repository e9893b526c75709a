"""What dvc.lock says of a stage, or what it will say: the hashes behind a result."""

import fcntl
import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import layout
from pipeline.errors import LockError

Hashes = dict[str, str]

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


def locked(stage: str, root: Path = Path()) -> StageState:
    """The state of `stage` that dvc.lock records.

    Raises:
        LockError: dvc.lock is missing or has no such stage.
    """
    path = root / layout.LOCK
    with _no_writer(root):
        entry = _load(path).get("stages", {}).get(stage)
    if entry is None:
        raise LockError(f"{path}: found no stage '{stage}', expected one; `make repro` runs it")
    return StageState(
        name=stage,
        cmd=entry["cmd"],
        deps={dep["path"]: dep["md5"] for dep in entry["deps"]},
        params=entry.get("params", {}).get(str(layout.PARAMS), {}),
        outs={out["path"]: out["md5"] for out in entry["outs"]},
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
    path = root / layout.LOCK
    with _no_writer(root):
        if path.exists() and CONFLICT in path.read_bytes():
            raise LockError(
                f"{path}: found the marks of a merge conflict, expected none; "
                f"`git checkout --ours {layout.LOCK}`, then `make repro` brings it up to date"
            )
        cut_short = path.exists() and not path.read_bytes().endswith(b"\n")
        if cut_short:
            path.unlink()
            command = ("git", "checkout", "--quiet", "--", layout.LOCK)
            subprocess.run(command, cwd=root, stderr=subprocess.DEVNULL, check=False)
    return cut_short


def current(stage: str, root: Path = Path()) -> StageState:
    """The state of `stage` as the working tree has it: what DVC will record when it ends.

    Raises:
        LockError: dvc.yaml has no such stage, or a dep is missing.
    """
    entry = _load(root / layout.PIPELINE).get("stages", {}).get(stage)
    if entry is None:
        raise LockError(f"{layout.PIPELINE}: found no stage '{stage}', expected one")
    document = _load(root / layout.PARAMS)
    return StageState(
        name=stage,
        cmd=entry["cmd"],
        deps=hashes((_interpolated(dep, document) for dep in entry["deps"]), root),
        params={key: _value(document, key) for key in entry.get("params", [])},
        outs=hashes((path for path in _outs(entry) if (root / path).exists()), root),
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
        file = (root / layout.DVC_LOCK).open("rb")
    except OSError:  # no DVC has run here, or it is another user's
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _value(document: dict[str, Any], key: str) -> Any:
    return reduce(dict.__getitem__, key.split("."), document)


def _interpolated(text: str, document: dict[str, Any]) -> str:
    """`text` with each ${key} replaced by the param of that name, as DVC does it."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(_value(document, match[1])), text)


def _outs(entry: dict[str, Any]) -> list[str]:
    outs = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in outs]


def _md5(path: Path) -> str:
    if path.is_dir():
        # DVC's own form of a folder: a JSON list of its files, hashed, with ".dir" behind it.
        files = sorted(
            (file.relative_to(path).as_posix(), _md5(file))
            for file in path.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".partial"
        )
        listing = [{"md5": md5, "relpath": relpath} for relpath, md5 in files]
        return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"  # noqa: S324
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _load(path: Path) -> dict[str, Any]:
    try:
        document = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise LockError(f"{path}: not found; `make repro` writes it") from None
    except YAMLError as error:
        raise LockError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise LockError(f"{path}: found no stages, expected those of a DVC pipeline")
    return document
