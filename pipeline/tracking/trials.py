"""A training that was one of many, of a sweep or a cross-validation, as it is kept and reported."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.outs import artifacts
from pipeline.outs.artifacts import Row
from pipeline.outs.dvc_lock import Hashes

Chosen = Mapping[str, Any]  # what is this trial's own: params by their dotted keys, or the fold
Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: from 1, in the order in which trials ended; none has the same.
        chosen: what it tried.
        status: finished; stopped early, since others were better; or failed.
        reason: why it failed; empty otherwise.
        metrics: the final ones, as in data/metrics; of a stopped one none.
        history: a row an epoch, as far as it came.
        outs: path to md5 of what the stage would have written; of a finished one alone.
        seconds: that it took, from its worker's first line to its last.
    """

    number: int
    chosen: Chosen
    status: Status
    reason: str
    metrics: dict[str, Any]
    history: list[Row]
    outs: Hashes
    seconds: float

    def value(self, metric: str) -> float | None:
        """A final metric, or a figure of the last epoch; None if it has no such."""
        last = self.history[-1] if self.history else {}
        found: float | None = (last | self.metrics).get(metric)
        return found

    def reward(self, metric: str, worst: float) -> float:
        """What a searcher hears of it: `worst` if it failed or has no such figure."""
        value = None if self.status == "failed" else self.value(metric)
        return worst if value is None else value


def write(folder: Path, trial: Trial) -> None:
    """Keep `trial` in a file of its own: it has ended for good when the file is there."""
    artifacts.write_text(folder / f"{trial.number:04}.json", json.dumps(asdict(trial), indent=1))


def read(folder: Path) -> list[Trial]:
    """The trials that `write` kept in `folder`, in the order in which they ended."""
    return [Trial(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def short_names(keys: list[str], stage: str) -> dict[str, str]:
    """What a person calls each key: of the stage's own the last part if that is clear, else all.

    `probe.epochs` keeps its section, though no other `epochs` is among them: it is another's.
    """
    own = f"{stage}."
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if key.startswith(own) and last.count(name) == 1 else key.removeprefix(own)
        for key, name in zip(keys, last, strict=True)
    }


def label(chosen: Chosen, stage: str) -> str:
    """`chosen` in a line."""
    names = short_names(list(chosen), stage)
    return " ".join(f"{names[key]}={value}" for key, value in chosen.items())
