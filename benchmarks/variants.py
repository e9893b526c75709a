"""The ways to train that are set side by side: by whom, with which instructions, on which cores."""

import subprocess
import sys
from dataclasses import dataclass

from pipeline.outs import machine

OURS = "this_pipeline"
LIBRARIES = {
    OURS: "keras",
    "plain_keras": "keras",
    "tuned_keras": "keras",
    "torch_loop": "torch",
    "jax_scan": "jax",
}
OTHERS_PYTHON = ("torch", "jax")  # may be installed apart from this pipeline's packages
# What holds a library to AVX2. XLA's first flag holds what XLA compiles; its matrix products are
# oneDNN's, which has a variable, or YNNPACK's, which goes by the CPU and is left out by the second.
# MKL, behind PyTorch's products, has a variable of its own.
XLA = "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type="
CAPS = {
    "keras": {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": XLA},
    "torch": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "jax": {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": XLA},
}


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        peer: a module of `benchmarks.peers`.
        cores: the process may use so many.
        cpu_isa: as in params.yaml: avx2, a cap; or native, none.
        held_out: measure on images held out after each epoch, too.
    """

    peer: str
    cores: int
    cpu_isa: str
    held_out: bool = False

    def __str__(self) -> str:
        held_out = ", held out too" if self.held_out else ""
        return f"{self.peer} ({self.cores} core(s), {self.cpu_isa}{held_out})"

    def options(self) -> list[str]:
        """Of the peer's command line; the others take their cap from `settings`."""
        held_out = ["--held-out"] if self.held_out else []
        return ["--cpu-isa", self.cpu_isa, *held_out] if self.peer == OURS else []

    def settings(self) -> dict[str, str]:
        """The environment variables that hold the peer to its instruction set."""
        capped = self.peer != OURS and self.cpu_isa == "avx2"
        return CAPS[LIBRARIES[self.peer]] if capped else {}


SHIPPED = Variant(OURS, cores=1, cpu_isa="avx2")
NATIVE = Variant(OURS, cores=1, cpu_isa="native")


def chosen(peers_python: str) -> list[Variant]:
    """This pipeline's one thread, capped and not; each peer that is installed.

    A peer is measured without a cap on one core and on all, and capped on one.
    """
    variants = [SHIPPED, NATIVE, Variant(OURS, cores=1, cpu_isa="avx2", held_out=True)]
    for peer, library in LIBRARIES.items():
        if peer == OURS:
            continue
        check = f"import importlib.util as u, sys; sys.exit(not u.find_spec({library!r}))"
        if subprocess.run([python(peer, peers_python), "-c", check], check=False).returncode:
            print(f"{peer} is left out: {library} is not installed")
            continue
        variants += [Variant(peer, cores, "native") for cores in sorted({1, machine.cores()})]
        if not machine.lacks("avx2"):
            variants.append(Variant(peer, cores=1, cpu_isa="avx2"))
    return variants


def python(peer: str, peers_python: str) -> str:
    """The interpreter that has the library of `peer`."""
    return peers_python if LIBRARIES[peer] in OTHERS_PYTHON else sys.executable
