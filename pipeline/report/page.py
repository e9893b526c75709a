"""The page itself: one HTML file that asks for nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.outs import dvc_lock
from pipeline.report import changes, charts, outs, tables, values
from pipeline.report.changes import Change, Difference, Pair
from pipeline.report.charts import Chart
from pipeline.report.outs import Outs
from pipeline.report.revisions import Revision
from pipeline.training.declaration import Training

TEMPLATE = "page.html"


@dataclass(frozen=True)
class Changes:
    """What differs from the other revision."""

    metrics: Sequence[Difference]
    params: Sequence[Change]
    deps: Sequence[Change]
    environment: Sequence[Change]
    pictures: Sequence[Pair]

    @property
    def by_stage(self) -> dict[str, list[Difference]]:
        """The metrics, in the order of the stages."""
        found: dict[str, list[Difference]] = {}
        for difference in self.metrics:
            found.setdefault(difference.stage, []).append(difference)
        return found

    def __bool__(self) -> bool:
        return any((self.metrics, self.params, self.deps, self.environment, self.pictures))


def page(now: Revision, was: Revision | None, trainings: Mapping[str, Training]) -> str:
    """The results of `now` and, where there is another revision, what changed since.

    Args:
        now: what the page is about.
        was: what it is held against.
        trainings: what the stage files say of the models, by stage.
    """
    ours = outs.read(now)
    theirs = outs.read(was) if was else ours
    pairs = changes.pairs(ours, theirs)
    changed = was and Changes(
        metrics=list(changes.metrics(ours, theirs, trainings)),
        params=changes.params(now, was),
        deps=changes.deps(now, was),
        environment=changes.environment(now, was),
        pictures=[pair for pair in pairs if not pair.same],
    )
    titles = {stage: training.title for stage, training in trainings.items()}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"text": values.text, "breakable": values.breakable}
    return environment.get_template(TEMPLATE).render(
        now=now,
        was=was,
        titles={stage: titles.get(stage, stage.replace("_", " ")) for stage in now.states},
        headlines=list(tables.headlines(ours, trainings, changed.metrics if changed else ())),
        tables=list(tables.tables(ours, trainings)),
        changed=changed,
        curves=dict(_curves(now, ours, was, theirs)),
        pictures={
            # Those that differ first.
            stage: sorted(
                (pair for pair in pairs if pair.picture.stage == stage), key=lambda pair: pair.same
            )
            for stage in dict.fromkeys(pair.picture.stage for pair in pairs)
        },
        missing={now.name: ours.missing} | ({was.name: theirs.missing} if was else {}),
        params=tables.sections(now),
        environment=dict(dvc_lock.flat(now.environment)),
        geometry=charts,
    )


def _curves(
    now: Revision, ours: Outs, was: Revision | None, theirs: Outs
) -> Iterator[tuple[str, list[Chart]]]:
    """The charts of each stage; the other revision is in them where it differs."""
    for stage, files in ours.histories.items():
        drawn: list[Chart] = []
        for path, rows in files.items():
            both = {now.name: rows}
            old = theirs.histories.get(stage, {}).get(path)
            if was and old and old != rows:
                both[was.name] = old
            drawn += charts.charts(both)
        yield stage, drawn
