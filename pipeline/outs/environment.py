"""What a result depends on besides code, data and params: recorded, to explain a drift.

The record names what was used (versions, the instruction sets that the pins allow, threads), not
what the machine has, so machines that give the same bytes give the same record, but for a Python or
package version that turns out not to matter. Hence it lies beside dvc.lock, not in it.

Machines of another kind (`KIND`) give other bytes; `make verify` then judges by tolerance.
"""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.errors import LockError
from pipeline.outs import artifacts, instruction_sets, machine, paths, variables

# What computes, draws or writes an out; the rest of requirements.lock only carries them.
PACKAGES = ("h5py", "keras", "matplotlib", "ml-dtypes", "numpy", "pillow", "tensorflow")

KIND = ("machine", "device", "cpu_features")  # what a result's bytes are promised for


def used(settings: params.Runtime) -> dict[str, Any]:
    """What a stage run now would depend on."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": machine.kind(),
        "device": settings.device,
        "cpu_features": instruction_sets.allowed(settings),
        "threads": {
            "tensorflow": settings.threads,
            "openblas": int(variables.pins(settings)["OPENBLAS_NUM_THREADS"]),
        },
    }


def decisive(settings: params.Runtime) -> dict[str, str]:
    """What two machines have to share for the same bytes: the packages' versions, and the kind."""
    now = used(settings)
    return now["packages"] | {key: str(now[key]) for key in KIND}


def recorded(root: Path = Path()) -> dict[str, Any]:
    """The record that `root` holds; empty if there is none yet.

    Raises:
        LockError: it is no JSON object; a merge may have left its marks in it.
    """
    path = root / paths.ENVIRONMENT
    if not path.exists():
        return {}
    try:
        record: dict[str, Any] = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise LockError(
            f"{path}: found no JSON object ({error}), expected the record of packages and machine; "
            f"`git checkout {paths.ENVIRONMENT}`, or delete it: the next stage writes it anew"
        ) from None
    return record


def foreign(record: dict[str, Any], settings: params.Runtime) -> str | None:
    """What kind of machine made the results of `record`, if this one gives other bytes.

    None where the kinds are the same, or nothing is recorded.
    """
    now = used(settings)
    if all(record.get(key, now[key]) == now[key] for key in KIND):
        return None
    return described(record)


def described(record: dict[str, Any]) -> str:
    """The kind of machine in a record: "Linux x86_64 (cpu: avx2, fma)"."""
    features = ", ".join(record.get("cpu_features", ()))
    return f"{record.get('machine', 'another machine')} ({record.get('device', 'cpu')}: {features})"


def record(settings: params.Runtime, known: dict[str, Any]) -> None:
    """Write down what is used, if it is not what is `known` from the record."""
    now = used(settings)
    if now != known:
        artifacts.write_text(paths.ENVIRONMENT, json.dumps(now, indent=2))


def _version(package: str) -> str:
    """TensorFlow comes under two names, by platform."""
    names = (package, f"{package}-cpu")
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"
