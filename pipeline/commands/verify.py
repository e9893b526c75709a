"""`make verify`: rebuild HEAD from nothing but git, and compare every out with dvc.lock."""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import LockError
from pipeline.outs import dvc_lock, environment, machine, paths
from pipeline.outs.dvc_lock import StageState
from pipeline.outs.tables import table
from pipeline.params import PARAMS, Runtime, Section, checked, read
from pipeline.reproduction import dvc_cache
from pipeline.verification.difference import largest_difference
from pipeline.verification.rebuild import clone, rebuild

TOLERANCE = 1e-3  # of numbers about 1: ten of 10,000 images, the third decimal of a loss
NO_CAUSE = (
    "code, data, params, packages, CPU features and threads are those recorded; "
    "if another CPU gave the expected bytes, the CPU may be the cause (docs/reproducibility.md)"
)
HEADINGS = ("out", "stage", "same bytes", "largest difference")


class Pinned(Section, extra="ignore"):
    """What is read of the params.yaml of HEAD: its stages may be others than those of now."""

    runtime: Runtime


@dataclass(frozen=True)
class Out:
    """One rebuilt file, compared with what it should be.

    Attributes:
        path: relative to the repository's root.
        stage: the stage that makes it.
        same: whether the bytes are the same.
        difference: the largest absolute difference of its numbers, see `difference`; None where
            the expected bytes are not at hand.
    """

    path: str
    stage: str
    same: bool
    difference: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument("--stage", help="judge this stage alone")
    parser.add_argument("--twice", action="store_true", help="compare two rebuilds instead")
    parser.add_argument(
        "--tolerance",
        type=float,
        nargs="?",
        const=TOLERANCE,
        help="pass if history and metrics agree within it (%(const)s), as on machines of another "
        "kind than that of dvc.lock by itself",
    )


def main(*, stage: str | None, twice: bool, tolerance: float | None) -> None:
    """Rebuild and compare; print a table, the first drift and what may have caused it.

    Args:
        stage: judge this stage alone; what it depends on is rebuilt, too.
        twice: compare two rebuilds with each other, not one with dvc.lock.
        tolerance: pass when history and metrics agree within it, although bytes differ; on a
            machine of another kind than made dvc.lock, `TOLERANCE` by itself.

    Raises:
        LockError: there is no such stage, or no dvc.lock in HEAD.
        ParamsError: the runtime of HEAD can't be used.
        RepositoryError: this is in no git repository, or DVC can't say where its cache is.
        StageFailed: a stage can't be rebuilt.
        SystemExit: with status 1, on drift.
    """
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        rebuilt, expected = clone(Path(folder) / "rebuilt"), Path(folder) / "expected"
        if _output("git", "status", "--porcelain", "."):
            print("There are uncommitted changes; this verifies HEAD, without them.")
        names = dvc_lock.names(rebuilt)
        if stage not in (None, *names):
            raise LockError(f"--stage: found '{stage}', expected one of {', '.join(names)}")
        states = {name: dvc_lock.locked(name, rebuilt) for name in names}
        record = environment.recorded(rebuilt)
        settings = checked(Pinned, read(rebuilt / PARAMS), f"{PARAMS} of HEAD").runtime
        if twice:
            expected = clone(expected)
            rebuild(expected, states, stage)
        else:
            _collect_expected(states.values(), rebuilt, expected)
        rebuild(rebuilt, states, stage)

        judged = [states[name] for name in names if stage in (None, name)]
        outs = [out for state in judged for out in _compare(state, rebuilt, expected, twice)]
        drifted = [out for out in outs if not out.same]
        print(f"\n{table([HEADINGS, *map(_row, outs)], left=2)}\n")
        against = "two rebuilds" if twice else "this rebuild and dvc.lock"
        features = ", ".join(machine.cpu_features()) or "no known features"
        print(f"on {machine.cpu_name()} ({features})")
        if not drifted:
            print(f"identical: {len(outs)} outs, {against}")
        else:
            print(f"drift: {len(drifted)} of {len(outs)} outs, {against}")
            print(f"first stage to drift: {drifted[0].stage}")
            causes = list(_causes(states[drifted[0].stage], rebuilt, record, settings))
            for cause in causes or [NO_CAUSE]:
                print(f"  {cause}")
        kind = None if twice else environment.foreign(record, settings)
    if settings.cpu_isa == "native":
        print("machine.cpu_isa is native: a CPU with other instruction sets may give other bytes")
    if not drifted:
        return
    if kind:
        print(f"dvc.lock is of {kind}: on a machine of another kind, by tolerance")
        tolerance = TOLERANCE if tolerance is None else tolerance
    if tolerance is not None and _agree(outs, tolerance):
        print(f"passed: history and metrics agree within {tolerance:g}, although bytes differ")
        return
    sys.exit(1)


def _collect_expected(states: Iterable[StageState], root: Path, target: Path) -> None:
    """Put the outs that dvc.lock names below `target`: git's copies, links to DVC's cache.

    A link leads nowhere where the cache has not the bytes.
    """
    for state in states:
        for path, md5 in state.outs.items():
            committed, copy = root / path, target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            if committed.is_dir():
                shutil.copytree(committed, copy)
            elif committed.exists():
                shutil.copyfile(committed, copy)
            else:
                for file, held in (dvc_cache.files(path, md5) or {}).items():
                    link = target / file
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(dvc_cache.place(held))


def _compare(state: StageState, rebuilt: Path, expected: Path, twice: bool) -> Iterator[Out]:
    for path, locked in state.outs.items():
        found = dvc_lock.hashes([path], rebuilt)[path]
        wanted = dvc_lock.hashes([path], expected)[path] if twice else locked
        if found == wanted:
            yield Out(path, state.name, same=True, difference=0.0)
        elif (rebuilt / path).is_dir():
            yield from _compare_folder(path, state.name, rebuilt, expected)
        else:
            yield Out(path, state.name, False, _difference(rebuilt / path, expected / path))


def _compare_folder(path: str, stage: str, rebuilt: Path, expected: Path) -> Iterator[Out]:
    """A row for each file that differs; for the folder where only dvc.lock does."""
    names = {
        file.relative_to(root / path).as_posix()
        for root in (rebuilt, expected)
        for file in (root / path).rglob("*")
        if file.is_file()
    }
    alike = True
    for name in sorted(names):
        ours, theirs = rebuilt / path / name, expected / path / name
        if ours.exists() and theirs.exists() and filecmp.cmp(ours, theirs, shallow=False):
            continue
        alike = False
        gap = _difference(ours, theirs) if ours.exists() else None
        yield Out(f"{path}/{name}", stage, same=False, difference=gap)
    if alike:
        yield Out(path, stage, same=False, difference=0.0)


def _difference(found: Path, expected: Path) -> float | None:
    return largest_difference(found, expected) if expected.exists() else None


def _causes(
    state: StageState, rebuilt: Path, record: dict[str, Any], settings: Runtime
) -> Iterator[str]:
    """What differs between the inputs that dvc.lock and the record name and those of now."""
    now = dvc_lock.current(state.name, rebuilt)
    for path, md5 in now.deps.items():
        if state.deps.get(path) != md5:
            yield f"{_kind(rebuilt / path)}: {path} is not the one that dvc.lock names"
    used = environment.used(settings)
    for title, was, is_ in (("params", state.params, now.params), ("environment", record, used)):
        before, after = dict(dvc_lock.flat(was)), dict(dvc_lock.flat(is_))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield f"{title}: {key} was {before.get(key)}, is {after.get(key)}"


def _kind(dep: Path) -> str:
    """Code, if it is or holds a file of Python; else data."""
    files = (dep, *dep.rglob("*"))
    return "code" if any(file.suffix == ".py" for file in files) else "data"


def _agree(outs: list[Out], tolerance: float) -> bool:
    return all(
        out.difference is not None and out.difference <= tolerance
        for out in outs
        if _is_judged(out)
    )


def _is_judged(out: Out) -> bool:
    """Whether it is history or metrics: a changed class label, say, is no distance."""
    folders = {paths.history(out.stage).parent, paths.metrics(out.stage).parent}
    return not folders.isdisjoint(Path(out.path).parents)


def _row(out: Out) -> tuple[str, ...]:
    if out.same:
        gap = ""
    elif out.difference is None:
        gap = "expected bytes not at hand"
    else:
        unit = " of 255" if out.path.endswith(".png") else ""
        gap = f"{out.difference:.3g}{unit}"
    return (out.path, out.stage, "yes" if out.same else "NO", gap)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
