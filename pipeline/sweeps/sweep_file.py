"""What a sweep file may hold, checked before any work; and the points of its search space."""

import difflib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline import params, stage_files
from pipeline.errors import ParamsError
from pipeline.outs import dvc_lock
from pipeline.params import Count, Section
from pipeline.training.declaration import trainings
from pipeline.training.metrics import TEST_LOSS, Metric

Value = bool | int | float | str
Point = dict[str, Any]  # params by their dotted keys
Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
WholeEnds = Annotated[list[int], Field(min_length=2, max_length=2)]

DIGITS = 4  # significant ones of a number drawn from a range: a command line stays readable


class Candidates(Section):
    """The values of one param: in one of four forms."""

    choices: Annotated[list[Value], Field(min_length=1)] | None = None
    uniform: Ends | None = None
    loguniform: Ends | None = None
    integers: WholeEnds | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"found {', '.join(given) or 'nothing'}, expected one of {FORMS}")
        if self.choices is None:
            low, high = self.values
            if not (low < high and (self.loguniform is None or low > 0)):
                raise ValueError(f"found {low} to {high}, expected a range, low to high")
        return self

    @property
    def values(self) -> list[Any]:
        """All choices, or both ends of the range."""
        return next(
            list(value)
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        )

    def shortened(self, value: Any) -> Any:
        """What was drawn from a range of numbers with fractions, in few digits; else as it is."""
        if self.choices is not None or self.integers is not None:
            return value
        low, high = self.values
        return min(max(float(f"{value:.{DIGITS}g}"), low), high)


FORMS = ", ".join(Candidates.model_fields)


class SweepFile(Section):
    """A sweep file.

    Attributes:
        stage: whose training is tried.
        metric: that decides, by the way in which the training declares it to be better.
        trials: how many.
        searcher: grid: every combination of choices; optuna: what earlier trials recommend.
        seed: of the searcher; the trainings have that of params.yaml.
        early_stopping: by successive halving (ASHA): end a trial early that is not among the best.
        params: set for all trials, over params.yaml, by dotted key.
        search: candidates by dotted key.
    """

    stage: str
    metric: str
    trials: Count
    searcher: Literal["grid", "optuna"]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    early_stopping: bool
    params: dict[str, Value]
    search: Annotated[dict[str, Candidates], Field(min_length=1)]

    @property
    def minimized(self) -> bool:
        """Whether less of the metric is better."""
        return metrics_of(self.stage)[self.metric].better == "lower"


def load(path: Path, document: Mapping[str, Any]) -> SweepFile:
    """Read and check the sweep file at `path` against the content of params.yaml.

    Raises:
        ParamsError: a line for each thing that can't be worked with.
    """
    sweep = params.checked(SweepFile, params.read(path), str(path))
    if sweep.stage not in trainings():
        known_stages = ", ".join(trainings())
        raise ParamsError(f"{path}: stage: found {sweep.stage!r}, expected one of {known_stages}")
    faults = [f"{path}: {fault}" for fault in _faults(sweep, document)]
    if faults:
        raise ParamsError("\n".join(faults))
    known = params.schema(stage_files.names())
    base = params.with_values(document, sweep.params)
    params.checked(known, base, f"{path}: params")
    for key, candidates in sweep.search.items():
        for value in candidates.values:
            tried = params.with_values(base, point(sweep, {key: value}))
            params.checked(known, tried, f"{path}: search")
    return sweep


def _faults(sweep: SweepFile, document: Mapping[str, Any]) -> Iterator[str]:
    sections = _sections(sweep.stage)
    known = [key for key, _ in dvc_lock.flat(document) if key.split(".")[0] in sections]
    for part, keys in (("params", sweep.params), ("search", sweep.search)):
        for key in keys:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
                yield f"{part}.{key}: no param of {sweep.stage}; did you mean '{nearest}'?"
    for key in sweep.params.keys() & sweep.search.keys():
        yield f"{key}: found in params and in search, expected it in one"

    found = metrics_of(sweep.stage)
    decisive = [name for name, metric in found.items() if metric.better]
    if sweep.early_stopping:
        decisive = [name for name in decisive if found[name].every_epoch]
        if f"{sweep.stage}.epochs" in sweep.search:
            yield "search: found epochs, expected none with early_stopping, which compares by epoch"
    if sweep.metric not in decisive:
        why = ", measured every epoch as early_stopping needs" if sweep.early_stopping else ""
        yield f"metric: found '{sweep.metric}', expected one of {', '.join(decisive)}{why}"

    if sweep.searcher == "grid":
        if ranges := [key for key, found in sweep.search.items() if found.choices is None]:
            yield f"search.{ranges[0]}: found a range, expected choices in a grid"
        elif (size := len(grid(sweep))) != sweep.trials:
            yield f"trials: found {sweep.trials}, expected {size}, the points of the grid"


def metrics_of(stage: str) -> dict[str, Metric]:
    """What a sweep of `stage` may go by: its final metrics, and the loss of every history."""
    metrics = (*trainings()[stage].metrics, TEST_LOSS)
    return {metric.name: metric for metric in metrics}


def _sections(stage: str) -> set[str]:
    """Those whose params may differ by trial: threads, say, are set before a worker starts."""
    entry = stage_files.document(stage_files.PIPELINE)["stages"][stage]
    return {*entry.get("params", [])} - {"runtime"}


def grid(sweep: SweepFile) -> list[Point]:
    """Every combination of choices."""
    combined = itertools.product(*(found.choices or () for found in sweep.search.values()))
    return [dict(zip(sweep.search, values, strict=True)) for values in combined]


def point(sweep: SweepFile, drawn: Mapping[str, Any]) -> Point:
    """What a trial has of what was `drawn`."""
    return {key: sweep.search[key].shortened(value) for key, value in drawn.items()}
