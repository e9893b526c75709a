"""What a revision has to show: metrics, histories and pictures, read from its outs."""

import csv
import io
import json
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline.outs.artifacts import Row
from pipeline.report.revisions import Revision

SHOWN = {".png", ".csv", ".json"}
PNG = b"\x89PNG\r\n\x1a\n"
SIZE = slice(16, 24)  # of a PNG: its width and its height, big-endian


@dataclass(frozen=True)
class Picture:
    """A PNG among the outs.

    Attributes:
        stage: that made it.
        out: the file or folder of dvc.lock that it is or is in.
        path: relative to the repository's root.
        md5: of the file.
        content: its bytes; None where they are nowhere at hand.
    """

    stage: str
    out: str
    path: str
    md5: str
    content: bytes | None

    @property
    def title(self) -> str:
        """Its file's name, after that of a folder in the out, as a person would write them."""
        place = PurePosixPath(self.path).with_suffix("")
        named = place.relative_to(self.out).parts if self.out != self.path else (place.name,)
        return ": ".join(named).replace("_", " ").capitalize()

    @property
    def url(self) -> str:
        """The picture itself, as an address."""
        return f"data:image/png;base64,{b64encode(self.content or b'').decode()}"

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, pixels; None where it is no PNG."""
        if not (self.content and self.content.startswith(PNG) and len(self.content) >= SIZE.stop):
            return None
        width, height = struct.unpack(">II", self.content[SIZE])
        return width, height


@dataclass(frozen=True)
class Outs:
    """The outs of a revision that can be shown.

    Attributes:
        metrics: by stage, the final figures in JSON that dvc.yaml calls metrics.
        histories: by stage and path, each CSV of numbers with a row an epoch.
        pictures: every PNG, in the order of the stages.
        missing: folders of dvc.yaml's plots that are not at hand: nobody knows what is in them.
    """

    metrics: Mapping[str, dict[str, Any]]
    histories: Mapping[str, dict[str, list[Row]]]
    pictures: Sequence[Picture]
    missing: Sequence[str]


def read(revision: Revision) -> Outs:
    """What dvc.lock of `revision` names, as far as it is at hand and can be read."""
    metrics: dict[str, dict[str, Any]] = {}
    histories: dict[str, dict[str, list[Row]]] = {}
    pictures: list[Picture] = []
    missing: list[str] = []
    for stage, out, locked in _outs(revision):
        files = revision.files(out, locked)
        if files is None and revision.is_declared("plots", out):
            missing.append(out)
        for path, md5 in (files or {}).items():
            match PurePosixPath(path).suffix:
                case ".png":
                    pictures.append(Picture(stage, out, path, md5, revision.content(path, md5)))
                case ".csv" if rows := _rows(revision.content(path, md5)):
                    histories.setdefault(stage, {})[path] = rows
                case ".json" if revision.is_declared("metrics", path):
                    metrics.setdefault(stage, {}).update(_document(revision.content(path, md5)))
    return Outs(metrics, histories, pictures, missing)


def _outs(revision: Revision) -> Iterator[tuple[str, str, str]]:
    """Stage, path and md5 of each out, less folders with nothing to show: they may be large."""
    for stage, state in revision.states.items():
        for path, md5 in state.outs.items():
            folder = revision.root / path
            if not folder.is_dir() or any(file.suffix in SHOWN for file in folder.rglob("*")):
                yield stage, path, md5


def _document(content: bytes | None) -> dict[str, Any]:
    """What a file of metrics holds; nothing where it is something else."""
    try:
        document = json.loads(content or b"")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _rows(content: bytes | None) -> list[Row]:
    """The rows of a history; none where the file is something else."""
    reader = csv.DictReader(io.StringIO((content or b"").decode(errors="replace"), newline=""))
    if "epoch" not in (reader.fieldnames or ()):
        return []
    try:
        return [{key: float(value) for key, value in row.items()} for row in reader]
    except (TypeError, ValueError):
        return []
