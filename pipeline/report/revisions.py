"""A state of the repository whose results are shown: what its dvc.lock names, and where that is."""

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from pipeline import stage_files
from pipeline.errors import LockError, RepositoryError
from pipeline.outs import dvc_lock, environment
from pipeline.outs.dvc_lock import Hashes, StageState
from pipeline.reproduction import dvc_cache

IGNORED = "__pycache__"


@dataclass(frozen=True)
class Commit:
    """A git commit: its hash, its day as YYYY-MM-DD, the first line of its message."""

    hash: str
    day: str
    subject: str


@dataclass(frozen=True)
class Revision:
    """The results of a commit, or of the working tree.

    Attributes:
        name: what its user calls it.
        root: where its files lie.
        commit: the one that it is, or comes from; None without git.
        edited: whether files that git tracks differ from `commit`.
        stale: the stages whose code, data or params are no longer those that dvc.lock names.
        states: what dvc.lock says of each stage, in the order in which they depend on each other.
        environment: the record of environment.json.
        descriptions: what dvc.yaml says of each stage.
        declared: the outs of each kind in dvc.yaml, as patterns: it may hold ${...}.
    """

    name: str
    root: Path
    commit: Commit | None
    edited: bool
    stale: tuple[str, ...]
    states: Mapping[str, StageState]
    environment: Mapping[str, Any]
    descriptions: Mapping[str, str]
    declared: Mapping[str, list[str]] = field(repr=False)

    def is_declared(self, kind: Literal["metrics", "plots"], path: str) -> bool:
        """Whether dvc.yaml lists the out as one of that kind."""
        return any(fnmatch(path, pattern) for pattern in self.declared[kind])

    def content(self, path: str, md5: str) -> bytes | None:
        """The bytes of a file with this md5: from its place, or DVC's cache; None if neither."""
        here = _held(self.root / path, md5)
        return _held(dvc_cache.place(md5), md5) if here is None else here

    def files(self, path: str, md5: str) -> Hashes | None:
        """The md5 of each file of an out or dep, by path; None where a folder is not at hand."""
        folder = self.root / path
        if folder.is_dir() and dvc_lock.hashes([path], self.root)[path] == md5:
            found = [file.relative_to(self.root) for file in folder.rglob("*") if file.is_file()]
            kept = sorted(str(file) for file in found if IGNORED not in file.parts)
            return dvc_lock.hashes(kept, self.root)
        return dvc_cache.files(path, md5)


def working_tree() -> Revision:
    """The state of this folder.

    Raises:
        LockError: dvc.lock or dvc.yaml is missing, or they do not fit together.
        ParamsError: params.yaml can't be read, or lacks what dvc.yaml names.
    """
    known = _git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    edited = bool(known and _git("status", "--porcelain", "--untracked-files=no", "."))
    revision = _read("working tree", Path(), _commit(known) if known else None, edited=edited)
    return replace(revision, stale=tuple(_stale(revision.states)))


@contextmanager
def committed(name: str) -> Iterator[Revision]:
    """The state of the commit, branch, tag or DVC experiment of that name, while inside this.

    Raises:
        RepositoryError: there is no such revision, or none with this folder.
        LockError: its dvc.lock or dvc.yaml is missing, or they do not fit together.
    """
    known = _resolved(name)
    if not known:
        raise RepositoryError(
            f"--against: found no revision '{name}', expected a commit, branch, tag or experiment"
        )
    archive = subprocess.run(["git", "archive", known], capture_output=True, check=False)
    if archive.returncode:
        reason = " ".join(archive.stderr.decode(errors="replace").split())
        raise RepositoryError(f"--against {name}: {reason}")
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter=_plain)  # noqa: S202 - what would lead out is left out
        try:
            revision = _read(name, Path(folder), _commit(known), edited=False)
        except LockError as error:
            text = str(error).replace(f"{folder}/", "")
            raise LockError(f"--against {name}: {text}") from None
        yield revision


def _read(name: str, root: Path, commit: Commit | None, *, edited: bool) -> Revision:
    entries = stage_files.document(root / stage_files.PIPELINE).get("stages", {})
    # A stage that dvc.yaml makes several of has the rest of its entry below `do`.
    bodies = {stage: entry.get("do", entry) for stage, entry in entries.items()}
    states = {stage: dvc_lock.locked(stage, root) for stage in dvc_lock.names(root)}
    return Revision(
        name=name,
        root=root,
        commit=commit,
        edited=edited,
        stale=(),
        states=states,
        environment=environment.recorded(root),
        descriptions={stage: body.get("desc", "") for stage, body in bodies.items()},
        declared={
            kind: [_pattern(out) for body in bodies.values() for out in body.get(kind, [])]
            for kind in ("metrics", "plots")
        },
    )


def _stale(states: Mapping[str, StageState]) -> Iterator[str]:
    for stage in stage_files.names():
        with suppress(LockError):  # data that is not here may be that of dvc.lock
            if stage in states and dvc_lock.current(stage).fingerprint != states[stage].fingerprint:
                yield stage


def _pattern(out: str | dict[str, Any]) -> str:
    path = out if isinstance(out, str) else next(iter(out))
    return re.sub(r"\$\{[^}]*\}", "*", path)


def _held(path: Path, md5: str) -> bytes | None:
    """What is in the file, if it has this md5."""
    content = path.read_bytes() if path.is_file() else b""
    return content if hashlib.md5(content).hexdigest() == md5 else None  # noqa: S324 - as DVC


def _resolved(name: str) -> str:
    """The hash of the commit of that name; DVC's experiments are commits that no branch names."""
    commit = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    if found := _git(*commit, f"{name}^{{commit}}"):
        return found
    experiments = _git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    named = [ref for ref in experiments if ref.rpartition("/")[2] == name]
    return _git(*commit, named[0]) if named else ""


def _commit(known: str) -> Commit:
    return Commit(*_git("show", "--no-patch", "--format=%H%n%cs%n%s", known).split("\n", 2))


def _git(*arguments: str) -> str:
    """What git prints; nothing where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    try:
        return tarfile.data_filter(member, folder)
    except tarfile.FilterError:
        return None
