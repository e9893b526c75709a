"""The results as Markdown, for docs/performance.md and docs/serving.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.epochs import OURS
from pipeline.errors import UserError
from pipeline.outs import artifacts

START, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
NAMES = {
    "this_pipeline": "this pipeline",
    "plain_keras": "plain Keras",
    "torch_loop": "PyTorch",
    "jax_scan": "JAX",
}
Row = dict[str, Any]


def markdown(results: Row) -> str:
    """A table for each part that `results` holds, and a line on the machine."""
    parts = results["parts"]
    tables = []
    if "epochs" in parts:
        tables.append(_table(_epochs(parts["epochs"])))
    if "pipeline" in parts:
        tables.append(_table(_commands(parts["pipeline"])))
    if "streaming" in parts:
        tables.append(_table(_streaming(parts["streaming"])))
    if "scale" in parts:
        tables.append(_table(_scale(parts["scale"]["stages"])))
    return "\n\n".join([*tables, _machine(results)])


def serving(results: Row) -> str:
    """The table of the servers, and a line on the machine."""
    return f"{_table(_servers(results['parts']['serving']))}\n\n{_machine(results)}"


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


def best(variants: list[Row], peer: str, figure: str, *, held_out: bool = False) -> Row | None:
    """The variant of `peer` whose median `figure` is least; None if it was left out."""
    own = [row for row in variants if row["peer"] == peer and row["held_out"] == held_out]
    return min(own, key=lambda row: row[figure]["median"], default=None)


def _epochs(part: Row) -> Iterator[tuple[str, ...]]:
    yield (
        *("an epoch of", "by", "core-seconds", "times ours", "of the peak"),
        *("seconds", "cores", "loss"),
    )
    for model, figures in part["models"].items():
        for peer, held_out in [(peer, False) for peer in NAMES] + [(OURS, True)]:
            variants = figures["variants"]
            frugal = best(variants, peer, "core_seconds", held_out=held_out)
            fast = best(variants, peer, "seconds", held_out=held_out)
            if not (frugal and fast):
                continue
            name = f"{NAMES[peer]}, held-out images measured too" if held_out else NAMES[peer]
            agrees = "" if frugal["loss_agrees"] and fast["loss_agrees"] else " (differs!)"
            yield (
                f"`{model}`",
                name,
                _spread(frugal["core_seconds"]),
                _spread(frugal["core_seconds_ratio"]),
                # Held-out images are work that the count of multiply-adds leaves out.
                "" if held_out else f"{frugal['share_of_peak']:.0%}",
                _spread(fast["seconds"]),
                str(fast["cores"]),
                f"{fast['loss']:.4f}{agrees}",
            )


def _commands(part: Row) -> Iterator[tuple[str, ...]]:
    yield "the whole", "seconds", "core-seconds", "peak memory"
    for name, figures in part["commands"].items():
        yield (
            name,
            _spread(figures["seconds"]),
            _spread(figures["core_seconds"]),
            f"{figures['peak_mib']:,.0f} MiB",
        )


def _streaming(part: Row) -> Iterator[tuple[str, ...]]:
    images, budget = part["images"], part["budget_mib"]
    yield f"an epoch of {images:,} images", "from memory", f"{budget} MiB at a time", "its speed"
    for model, figures in part["models"].items():
        yield (
            f"`{model}`",
            f"{_spread(figures['from_memory'])} s",
            f"{_spread(figures['streamed'])} s",
            _spread(figures["speed_ratio"]),
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
                f"{', '.join(_short(figures[key]) for key in keys)} {unit}"
                for figures in (ours, flavor)
            ),
        )


def _machine(results: Row) -> str:
    machine, parts = results["machine"], results["parts"]
    packages = machine["packages"]
    used = {f"Python {machine['python']}", f"TensorFlow {packages['tensorflow']}"}
    for figures in parts.get("epochs", {"models": {}})["models"].values():
        used |= {row["library"] for row in figures["variants"]}
    peak = f", {parts['peak']['one_core']:.0f} GFLOP/s a core" if "peak" in parts else ""
    return (
        f"Measured on {machine['cores']} cores of an {machine['cpu']} "
        f"({', '.join(machine['cpu_features'])}{peak}), {machine['memory_gib']} GiB, with "
        f"{', '.join(sorted(used))}."
    )


def _spread(figures: Row) -> str:
    low, middle, high = (_short(figures[key]) for key in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"  # noqa: RUF001 - a range


def _short(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    heading, *body = rows
    lines = [
        heading,
        tuple("---" if not column else "--:" for column in range(len(heading))),
        *body,
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
