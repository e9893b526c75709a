"""Metrics and params as the page has them: headlines, and tables of what belongs together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.outs import dvc_lock
from pipeline.report.changes import Difference
from pipeline.report.outs import Outs
from pipeline.report.revisions import Revision
from pipeline.report.values import text
from pipeline.training.declaration import Training


@dataclass(frozen=True)
class Headline:
    """The metric by which a model becomes champion, and how it differs from the other one."""

    title: str
    metric: str
    value: str
    difference: Difference | None


@dataclass(frozen=True)
class Table:
    """The metrics of stages that have the same ones, a column a stage.

    Attributes:
        titles: what people call the stages.
        rows: a metric's name, which way it is better, and the value of each stage.
    """

    titles: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]


@dataclass(frozen=True)
class Param:
    """A param, called as in its section, with the stages that depend on it."""

    name: str
    value: str
    stages: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A section of params.yaml; the one without a name is its top."""

    name: str
    params: Sequence[Param]

    @property
    def stages(self) -> list[str]:
        """Those that depend on all of it."""
        first, *others = (param.stages for param in self.params)
        return [stage for stage in first if all(stage in other for other in others)]


def headlines(
    outs: Outs, trainings: Mapping[str, Training], differences: Sequence[Difference]
) -> Iterator[Headline]:
    """One a model that has been trained."""
    differing = {(each.stage, each.name): each for each in differences}
    for stage, training in trainings.items():
        gate, found = training.gate, outs.metrics.get(stage, {})
        if gate in found:
            yield Headline(training.title, gate, text(found[gate]), differing.get((stage, gate)))


def tables(outs: Outs, trainings: Mapping[str, Training]) -> Iterator[Table]:
    """All metrics; those of models first."""
    found = outs.metrics
    left = sorted(found, key=lambda stage: stage not in trainings)
    while left:
        first = left[0]
        alike = [stage for stage in left if found[stage].keys() == found[first].keys()]
        declared = trainings[first].metrics if first in trainings else ()
        ways = {metric.name: f"{metric.better} is better" for metric in declared if metric.better}
        yield Table(
            [trainings[stage].title if stage in trainings else stage for stage in alike],
            [
                (name, ways.get(name, ""), [text(found[stage][name]) for stage in alike])
                for name in found[first]
            ],
        )
        left = [stage for stage in left if stage not in alike]


def sections(revision: Revision) -> list[Section]:
    """The params that stages depend on; twice where stages were run with different values."""
    found: dict[tuple[str, str], list[str]] = {}
    for stage, state in revision.states.items():
        for key, value in dvc_lock.flat(state.params):
            found.setdefault((key, text(value)), []).append(stage)
    params: dict[str, list[Param]] = {}
    for (key, value), stages in found.items():
        section, _, name = key.partition(".") if "." in key else ("", "", key)
        params.setdefault(section, []).append(Param(name, value, stages))
    return [Section(*each) for each in params.items()]
