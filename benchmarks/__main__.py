"""Measure this pipeline beside what a user would pick instead: `python -m benchmarks [PART ...]`.

Writes benchmarks/results.json and results.png, and the tables of docs/performance.md and
docs/serving.md. A part that is not measured keeps its figures, and so do other machines.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks import epochs as epochs_part
from benchmarks import (
    machine,
    peak,
    processes,
    report,
    scale,
    serving,
    sizes,
    store,
    streaming,
    whole,
)
from pipeline import errors
from pipeline.errors import MachineError, TrainingError, UserError

PARTS = ("peak", "epochs", "pipeline", "streaming", "scale", "serving")
OUTPUT, PAGE, SERVING = Path("benchmarks"), Path("docs/performance.md"), Path("docs/serving.md")
LOUD = 0.1  # cores; as much work beside a measurement is worth a warning


def main() -> None:
    """Measure, write, print.

    Raises:
        MachineError: this is not Linux.
        TrainingError: a peer did not reach the loss of this pipeline: the figures are written,
            and worth nothing.
        UserError: there is nothing to report.
    """
    options = _options()
    if sys.platform != "linux":
        raise MachineError(
            f"benchmarks: found {sys.platform}, expected linux, which keeps a process to some of "
            "the cores and says how busy they are"
        )
    output = options.output or OUTPUT
    if not options.output:
        report.check(PAGE)
        report.check(SERVING)
    machines = store.read(output / "results.json")
    if chosen := _chosen(options.parts):
        size = sizes.QUICK if options.quick else sizes.FULL
        machines = _measure(chosen, size, options.peers_python, machines, output)
    if not machines:
        raise UserError(f"{output}: no results.json with figures, expected one to report")
    _report(machines, output, pages=not options.output)
    last = next(iter(machines.values()))
    if differing := _differing(last["parts"].get("epochs", {"models": {}})):
        raise TrainingError(f"loss or parameters differ from this pipeline's: {differing}")


def _measure(
    chosen: list[str],
    size: sizes.Sizes,
    peers_python: str,
    machines: store.Machines,
    output: Path,
) -> store.Machines:
    """Measure the `chosen` parts here, and write each at once; all machines, this one first."""
    described = machine.described()
    name = machine.name(described)
    here = store.entry(machines, name, described)
    revision = machine.revision()  # before results.json changes
    for part in chosen:
        print(f"-- {part}")
        figures = _measured(part, size, peers_python, here["parts"])
        here["parts"][part] = {"revision": revision} | figures
        machines = store.write(machines, name, here, output / "results.json")
        if figures["elsewhere"] > LOUD:
            print(f"{part}: {figures['elsewhere']:.1f} cores were busy with other things")
    return machines


def _report(machines: store.Machines, output: Path, *, pages: bool) -> None:
    """Draw and print what there is of all machines, and put it into the documentation."""
    # Drawn by another process: Matplotlib would add 50 MiB to this one (see `processes.run`).
    processes.run(
        *(sys.executable, "-m", "benchmarks.figure"),
        *(output / "results.json", output / "results.png"),
    )
    tables, servers = report.performance(machines), report.serving(machines)
    print("\n\n".join(filter(None, [tables, servers])))
    if pages and tables:
        report.insert(tables, PAGE)
    if pages and servers:
        report.insert(servers, SERVING)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"{', '.join(PARTS)}, or report to only write what was measured (default: all parts)",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument(
        "--output", type=Path, help="folder to write to instead; docs/ is left alone"
    )
    parser.add_argument(
        "--peers-python", default=sys.executable, help="the Python that has PyTorch and JAX"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - {*PARTS, "report"}:
        parser.error(f"found {', '.join(sorted(unknown))}, expected {', '.join(PARTS)} or report")
    if options.quick and not options.output:
        parser.error("--quick needs --output: its figures are not to be kept")
    return options


def _chosen(parts: list[str]) -> list[str]:
    """What to measure, in order: epochs are set against a peak of the same run."""
    asked = {*(parts or PARTS)} | ({"peak"} if "epochs" in parts else set())
    return [part for part in PARTS if part in asked]


def _measured(
    name: str, size: sizes.Sizes, peers_python: str, earlier: dict[str, Any]
) -> dict[str, Any]:
    match name:
        case "peak":
            return peak.measure(size)
        case "epochs":
            return epochs_part.measure(size, peers_python, earlier["peak"]["one_core"])
        case "pipeline":
            return whole.measure(size)
        case "streaming":
            return streaming.measure(size)
        case "scale":
            return scale.measure(size)
        case _:
            return serving.measure(size)


def _differing(part: dict[str, Any]) -> str:
    return ", ".join(
        f"{model} by {row['peer']} ({row['cores']} core(s), {row['cpu_isa']})"
        for model, figures in part["models"].items()
        for row in figures["variants"]
        if not row["loss_agrees"]
    )


if __name__ == "__main__":
    with errors.reported():
        main()
