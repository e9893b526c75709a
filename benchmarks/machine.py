"""What was measured on: the machine and the packages, without names of hosts or folders."""

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

from pipeline.outs import environment, machine
from pipeline.params import PARAMS, load_params


def described() -> dict[str, Any]:
    """CPU, cores, memory, Python and package versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    used = environment.used(load_params(PARAMS).runtime)
    return {
        "cpu": ", ".join(filter(None, [machine.cpu_name(), machine.cpu_generation()])),
        "cpu_features": machine.cpu_features(),
        "cores": machine.cores(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": used["python"],
        "packages": used["packages"] | {name: version(name) for name in ("dvc", "mlflow")},
    }


def name(described: dict[str, Any]) -> str:
    """What tells this machine from others: "AMD EPYC, family 26, model 2 (avx2, fma), 2 cores"."""
    cpu = described["cpu"].replace("(R)", "").replace("(TM)", "")
    cores = described["cores"]
    instructions = f" ({', '.join(described['cpu_features'])})" if described["cpu_features"] else ""
    return f"{cpu}{instructions}, {cores} core{'s' if cores > 1 else ''}"


def revision() -> str:
    """The commit that is checked out, and whether files differ from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit} with changes" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
