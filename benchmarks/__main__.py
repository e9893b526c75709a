"""Measure this pipeline beside what a user would pick instead: `python -m benchmarks [PART ...]`.

Writes benchmarks/results.json and results.png, and the tables of docs/performance.md and
docs/serving.md. A part that
is not measured keeps its figures, if they are of this machine.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import epochs as epochs_part
from benchmarks import machine, peak, processes, report, scale, serving, sizes, streaming, whole
from pipeline import errors
from pipeline.errors import MachineError, TrainingError
from pipeline.outs import artifacts

PARTS = ("peak", "epochs", "pipeline", "streaming", "scale", "serving")
OUTPUT, PAGE, SERVING = Path("benchmarks"), Path("docs/performance.md"), Path("docs/serving.md")
LOUD = 0.1  # cores; as much work beside a measurement is worth a warning


def main() -> None:
    """Measure, write, print.

    Raises:
        MachineError: this is not Linux.
        TrainingError: a peer did not reach the loss of this pipeline: the figures are written,
            and worth nothing.
    """
    options = _options()
    if sys.platform != "linux":
        raise MachineError(
            f"benchmarks: found {sys.platform}, expected linux, which keeps a process to some of "
            "the cores and says how busy they are"
        )
    quick, output = options.quick, options.output or OUTPUT
    if not options.output:
        report.check(PAGE)
        report.check(SERVING)
    results = _earlier(output / "results.json")
    parts = results["parts"]
    for name in PARTS:
        if name in _chosen(options.parts):
            print(f"-- {name}")
            part = _measured(
                name, sizes.QUICK if quick else sizes.FULL, options.peers_python, parts
            )
            parts[name] = {"revision": machine.revision()} | part
            _write(results, output)
            if part["elsewhere"] > LOUD:
                print(f"{name}: {part['elsewhere']:.1f} cores were busy with other things")
    _write(results, output)
    tables = report.markdown(results)
    print(tables)
    if not options.output:
        report.insert(tables, PAGE)
        if "serving" in parts:
            report.insert(report.serving(results), SERVING)
    if differing := _differing(parts.get("epochs", {"models": {}})):
        raise TrainingError(f"loss or parameters differ from this pipeline's: {differing}")


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


def _chosen(parts: list[str]) -> set[str]:
    """What to measure: epochs are set against a peak of the same run."""
    return set(PARTS) if not parts else {*parts} | ({"peak"} if "epochs" in parts else set())


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


def _earlier(path: Path) -> dict[str, Any]:
    """The results so far; none but the machine if they are of another one."""
    now = machine.described()
    if path.exists():
        results: dict[str, Any] = json.loads(path.read_text())
        if results["machine"] == now:
            return results
        print(f"{path} is of another machine or other packages: its figures are dropped")
    return {"machine": now, "parts": {}}


def _write(results: dict[str, Any], output: Path) -> None:
    path = output / "results.json"
    artifacts.write_text(path, json.dumps(results, indent=2))
    # Drawn by another process: Matplotlib would add 50 MiB to this one (see `processes.run`).
    processes.run(sys.executable, "-m", "benchmarks.figure", path, output / "results.png")


def _differing(part: dict[str, Any]) -> str:
    return ", ".join(
        f"{model} by {row['peer']} on {row['cores']} core(s)"
        for model, figures in part["models"].items()
        for row in figures["variants"]
        if not row["loss_agrees"]
    )


if __name__ == "__main__":
    with errors.reported():
        main()
