"""What differs between two revisions: params, code, data, packages, numbers and pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
from PIL import Image

from pipeline.outs import dvc_lock
from pipeline.outs.artifacts import DECIMALS
from pipeline.report.outs import Outs, Picture
from pipeline.report.revisions import Revision
from pipeline.report.values import ABSENT, short, signed, text
from pipeline.training.declaration import Training


@dataclass(frozen=True)
class Change:
    """A value that differs.

    Attributes:
        subject: its key, or its path.
        was: the other revision's, as text.
        now: this one's.
        stages: those that it concerns.
        detail: the files that differ, of a folder.
    """

    subject: str
    was: str
    now: str
    stages: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Its stages, if its key does not name them already."""
        return self.stages if self.stages != (self.subject.partition(".")[0],) else ()


@dataclass(frozen=True)
class Difference:
    """A metric that differs.

    Attributes:
        stage: whose.
        name: of the metric.
        was: the other revision's, as text.
        now: this one's.
        gap: by how much, with its sign; empty where one of them is no number.
        verdict: "better" or "worse", where the training says which way it is.
    """

    stage: str
    name: str
    was: str
    now: str
    gap: str
    verdict: str


@dataclass(frozen=True)
class Pair:
    """A picture of this revision and what it was in the other; None where one has none."""

    now: Picture | None
    was: Picture | None

    @property
    def picture(self) -> Picture:
        """The one that names both."""
        return next(picture for picture in (self.now, self.was) if picture)

    @property
    def same(self) -> bool:
        """Whether their bytes are."""
        return bool(self.now and self.was and self.now.md5 == self.was.md5)

    @property
    def verdict(self) -> str:
        """Whether they differ, and in how much of their area if that can be said."""
        if self.same:
            if self.was and self.was.path != self.picture.path:
                return f"same in both, before at {self.was.path}"
            return "same in both"
        if not (self.now and self.was and self.now.size and self.now.size == self.was.size):
            return ""
        ours, theirs = (
            np.asarray(Image.open(BytesIO(picture.content or b"")).convert("RGBA"))
            for picture in (self.now, self.was)
        )
        return f"{(ours != theirs).any(axis=-1).mean():.2%} of the pixels differ"


def params(now: Revision, was: Revision) -> list[Change]:
    """The params that differ, of those that stages depend on."""
    return _changes(
        {stage: dict(dvc_lock.flat(state.params)) for stage, state in now.states.items()},
        {stage: dict(dvc_lock.flat(state.params)) for stage, state in was.states.items()},
    )


def deps(now: Revision, was: Revision) -> list[Change]:
    """The deps that differ: code and data, less what other stages make."""
    made = {path for side in (now, was) for state in side.states.values() for path in state.outs}
    ours, theirs = (
        {
            stage: {path: md5 for path, md5 in state.deps.items() if not _is_below(path, made)}
            for stage, state in side.states.items()
        }
        for side in (now, was)
    )
    found = _changes(ours, theirs)
    return [
        replace(
            change,
            was=short(change.was),
            now=short(change.now),
            detail=tuple(_files(change, now, was)),
        )
        for change in found
    ]


def environment(now: Revision, was: Revision) -> list[Change]:
    """What differs in the records of what the results were computed with."""
    ours, theirs = ({"": dict(dvc_lock.flat(side.environment))} for side in (now, was))
    return [replace(change, stages=()) for change in _changes(ours, theirs)]


def metrics(now: Outs, was: Outs, trainings: Mapping[str, Training]) -> Iterator[Difference]:
    """The metrics that differ, stage by stage."""
    for stage in dict.fromkeys([*now.metrics, *was.metrics]):
        ours, theirs = now.metrics.get(stage, {}), was.metrics.get(stage, {})
        for name in dict.fromkeys([*ours, *theirs]):
            new, old = ours.get(name, ABSENT), theirs.get(name, ABSENT)
            if new != old:
                gap = _gap(new, old)
                yield Difference(
                    stage=stage,
                    name=name,
                    was=text(old),
                    now=text(new),
                    gap=signed(gap) if gap else "",
                    verdict=_verdict(trainings.get(stage), name, gap),
                )


def pairs(now: Outs, was: Outs) -> list[Pair]:
    """Every picture of both, by path, or by md5 where it has moved."""
    ours, theirs = ({picture.path: picture for picture in side.pictures} for side in (now, was))
    left = {path: picture for path, picture in theirs.items() if path not in ours}
    found = []
    for path, picture in ours.items():
        moved = [old for old, other in left.items() if other.md5 == picture.md5]
        before = left.pop(moved[0]) if path not in theirs and moved else theirs.get(path)
        found.append(Pair(picture, before))
    return [*found, *(Pair(None, picture) for picture in left.values())]


def _changes(
    ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]]
) -> list[Change]:
    """What differs under the keys of each stage; one that several stages share is told once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for stage in dict.fromkeys([*ours, *theirs]):
        left, right = ours.get(stage, {}), theirs.get(stage, {})
        for key in dict.fromkeys([*left, *right]):
            new, old = left.get(key, ABSENT), right.get(key, ABSENT)
            if new != old:
                found.setdefault((key, text(old), text(new)), []).append(stage)
    return [Change(*change, stages=tuple(stages)) for change, stages in found.items()]


def _is_below(path: str, folders: set[str]) -> bool:
    """Whether `path` is, holds or is in one of `folders`."""
    return any(
        f"{one}/".startswith(f"{two}/")
        for folder in folders
        for one, two in ((path, folder), (folder, path))
    )


def _files(change: Change, now: Revision, was: Revision) -> Iterator[str]:
    """The files that differ in a folder, where both are at hand."""
    ours, theirs = (
        side.files(change.subject, md5) if md5 != ABSENT else None
        for side, md5 in ((now, change.now), (was, change.was))
    )
    if ours is None or theirs is None:
        return
    for path in sorted({*chain(ours, theirs)} - {change.subject}):
        if ours.get(path) != theirs.get(path):
            sign = (
                "" if path in ours and path in theirs else " (new)" if path in ours else " (gone)"
            )
            yield f"{path.removeprefix(f'{change.subject}/')}{sign}"


def _gap(new: Any, old: Any) -> float:
    numbers = all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in (new, old)
    )
    return round(new - old, DECIMALS) if numbers else 0


def _verdict(training: Training | None, name: str, gap: float) -> str:
    declared = {metric.name: metric.better for metric in training.metrics} if training else {}
    better = declared.get(name)
    if not (gap and better):
        return ""
    return "better" if (gap > 0) == (better == "higher") else "worse"
