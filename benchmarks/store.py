"""results.json: the figures of each machine that was measured on, the last one first."""

import json
from pathlib import Path
from typing import Any

from pipeline.outs import artifacts

Row = dict[str, Any]
Machines = dict[str, Row]  # by `machine.name`; each has `machine`, its description, and `parts`


def read(path: Path) -> Machines:
    """Those in `path`, none if it is not there."""
    machines: Machines = json.loads(path.read_text()) if path.exists() else {}
    return machines


def entry(machines: Machines, name: str, described: Row) -> Row:
    """That of the machine called `name`; without parts if it is new, or was not as `described`."""
    known = machines.get(name)
    if known and known["machine"] == described:
        return known
    if known:
        print(f"{name} had other packages, system or memory: its earlier figures are dropped")
    return {"machine": described, "parts": {}}


def write(machines: Machines, name: str, measured: Row, path: Path) -> Machines:
    """Put `measured` first, whatever machine it was, and leave the other ones as they are."""
    machines = {name: measured} | {other: machines[other] for other in machines if other != name}
    artifacts.write_text(path, json.dumps(machines, indent=2))
    return machines
