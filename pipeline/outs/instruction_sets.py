"""Which instructions a result is made with: capped, so that machines of a kind agree.

The committed results are those of x86-64 with AVX2. Other kinds of machine train with the same
params and get bytes of their own, each capped at what all of the kind have.
"""

from typing import NamedTuple

from pipeline import params
from pipeline.errors import MachineError
from pipeline.outs import machine


class Cap(NamedTuple):
    """The most that libraries may use on a kind of machine.

    Attributes:
        features: the instruction sets in use, by Linux's names.
        variables: the environment variables that hold libraries to them.
    """

    features: tuple[str, ...]
    variables: dict[str, str]


AVX2 = Cap(
    ("avx2", "fma"),
    {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
)
AVX = Cap(
    ("avx",),
    {
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
)
ASIMD = Cap(
    ("asimd",),
    {
        # TensorFlow's oneDNN for ARM takes no cap: its convolutions use SVE where a CPU has it.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "OPENBLAS_CORETYPE": "ARMV8",
        "NPY_DISABLE_CPU_FEATURES": "ASIMDHP ASIMDDP ASIMDFHM SVE",
    },
)


def cap() -> Cap:
    """That of this kind of machine."""
    if machine.is_arm():
        return ASIMD
    return AVX if any(map(machine.lacks, AVX2.features)) else AVX2


def check() -> None:
    """Make sure that the CPU has what TensorFlow's packages need to be imported at all.

    Raises:
        MachineError: it has not.
    """
    if not machine.is_arm() and machine.lacks("avx"):
        raise MachineError(
            f"this CPU, {machine.cpu_name()}, has no AVX; expected an x86-64 CPU that has it, or "
            "a 64-bit ARM: TensorFlow's packages are built for these"
        )


def allowed(runtime: params.Runtime) -> list[str]:
    """The instruction sets that decide a result and that a stage may use."""
    return list(cap().features) if runtime.cpu_isa == "avx2" else machine.cpu_features()
