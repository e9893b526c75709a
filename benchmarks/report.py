"""The results as Markdown, for docs/performance.md and docs/serving.md: a section a machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import comparison
from benchmarks.markdown import short, spread, table
from benchmarks.store import Machines
from pipeline.errors import UserError
from pipeline.outs import artifacts

START, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
Row = dict[str, Any]


def performance(machines: Machines) -> str:
    """For each machine a heading, a table for each part that was measured, and the conditions."""
    return "\n\n".join(
        "\n\n".join([f"### {name}", *_tables(entry["parts"]), _conditions(entry)])
        for name, entry in machines.items()
        if {"epochs", "pipeline", "streaming", "scale"} & entry["parts"].keys()
    )


def serving(machines: Machines) -> str:
    """The table of the servers on each machine, and the machine's name."""
    return "\n\n".join(
        f"{table(_servers(entry['parts']['serving']))}\n\n"
        f"Measured on {name}, with {_versions(entry, 'tensorflow', 'mlflow')}."
        for name, entry in machines.items()
        if "serving" in entry["parts"]
    )


def _tables(parts: Row) -> Iterator[str]:
    if "epochs" in parts:
        yield table(comparison.rows(parts["epochs"]))
        yield comparison.verdicts(parts["epochs"])
    if "pipeline" in parts:
        yield table(_commands(parts["pipeline"]))
        yield _shares(parts["pipeline"])
    if "streaming" in parts:
        yield table(_streaming(parts["streaming"]))
    if "scale" in parts:
        yield table(_scale(parts["scale"]["stages"]))


def check(page: Path) -> None:
    """Have the markers looked for before an hour is spent on measuring.

    Raises:
        UserError: `page` has no place for the tables.
    """
    text = page.read_text()
    if not -1 < text.find(START) < text.find(END):
        raise UserError(f"{page}: expected the lines {START} and {END}, the tables go between")


def insert(tables: str, page: Path) -> None:
    """Put `tables` between the markers of `page`, in place of what is there."""
    check(page)
    before, rest = page.read_text().split(START, 1)
    after = rest.split(END, 1)[1]
    artifacts.write_text(page, f"{before}{START}\n\n{tables}\n\n{END}{after}")


def _commands(part: Row) -> Iterator[tuple[str, ...]]:
    yield "the whole", "seconds", "core-seconds", "peak memory"
    for name, figures in part["commands"].items():
        yield (
            name,
            spread(figures["seconds"]),
            spread(figures["core_seconds"]),
            f"{figures['peak_mib']:,.0f} MiB",
        )


def _shares(part: Row) -> str:
    told = [f"{spread(share)} of the time of the {name}" for name, share in part["shares"].items()]
    return f"`make repro`, cold, takes {', '.join(told)}."


def _streaming(part: Row) -> Iterator[tuple[str, ...]]:
    images, budget = part["images"], part["budget_mib"]
    yield f"an epoch of {images:,} images", "from memory", f"{budget} MiB at a time", "its speed"
    for model, figures in part["models"].items():
        yield (
            f"`{model}`",
            f"{spread(figures['from_memory'])} s",
            f"{spread(figures['streamed'])} s",
            spread(figures["speed_ratio"]),
        )


def _scale(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    yield "images", *(f"`{stage}`" for stage in stages)
    for count in dict.fromkeys(row["images"] for row in rows):
        cells = {row["stage"]: row for row in rows if row["images"] == count}
        yield (
            f"{count:,}",
            *(
                f"{cells[stage]['seconds']:,.1f} s, {cells[stage]['peak_mib']:,.0f} MiB"
                for stage in stages
            ),
        )


def _servers(part: Row) -> Iterator[tuple[str, ...]]:
    ours, flavor = (part["servers"][name] for name in ("this_pipeline", "keras_flavor"))
    yield f"{part['requests']:,} requests", "this pipeline", "MLflow's Keras flavor"
    for told, keys, unit in (
        ("one image, one client: median, p95", ("one_ms", "one_p95_ms"), "ms"),
        ("one image, one client", ("one_rate",), "a second"),
        ("one image, 8 clients: median, p95", ("eight_ms", "eight_p95_ms"), "ms"),
        ("one image, 8 clients", ("eight_rate",), "a second"),
        ("1,000 images in one request", ("many_ms",), "ms"),
        ("memory, before and after", ("memory_mib", "memory_after_mib"), "MiB"),
    ):
        yield (
            told,
            *(
                f"{', '.join(short(figures[key]) for key in keys)} {unit}"
                for figures in (ours, flavor)
            ),
        )


def _conditions(entry: Row) -> str:
    machine, parts = entry["machine"], entry["parts"]
    libraries = {
        row["library"]
        for figures in parts.get("epochs", {"models": {}})["models"].values()
        for row in figures["variants"]
    }
    peak = f"{parts['peak']['one_core']:.0f} GFLOP/s a core, " if "peak" in parts else ""
    return (
        f"Measured with {peak}{machine['memory_gib']} GiB, "
        f"{', '.join([*sorted(libraries), _versions(entry, 'tensorflow', 'dvc', 'mlflow')])}."
    )


def _versions(entry: Row, *names: str) -> str:
    machine = entry["machine"]
    spelled = {"tensorflow": "TensorFlow", "dvc": "DVC", "mlflow": "MLflow"}
    packages = [f"{spelled[name]} {machine['packages'][name]}" for name in names]
    return ", ".join([*packages, f"Python {machine['python']}"])
