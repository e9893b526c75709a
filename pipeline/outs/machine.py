"""What is asked of the operating system, and what is done where it has no answer.

All that Linux alone has is here: each function works without it, less well. The rest of the
pipeline uses what Linux and macOS share.
"""

import ctypes
import os
import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# What malloc keeps of freed memory at the end of a heap, bytes, in place of 128 KiB. A step frees
# what the next one takes again, and the kernel clears each page in between: the convolutional
# autoencoder had a million page faults, and 30 core-seconds; it has 200,000, and 27.
M_TOP_PAD, KEPT = -2, 16 * 2**20  # malloc.h has the first
ARM = ("aarch64", "arm64")  # as Linux and macOS call it
# Those that a library chooses its code by.
X86_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
ARM_FEATURES = ("asimd", "asimdhp", "asimddp", "asimdfhm", "sve", "bf16", "i8mm", "sve2")


def kind() -> str:
    """The system and the processor's architecture: "Linux x86_64"."""
    return f"{platform.system()} {platform.machine()}"


def is_arm() -> bool:
    """Whether the processor is a 64-bit ARM."""
    return platform.machine() in ARM


def cores() -> int:
    """How many cores this process may use; of the machine, where the system sets no bounds."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_features() -> list[str]:
    """The instruction sets of the CPU that libraries choose code by, by Linux's own names.

    Empty where the system does not list them.
    """
    found = _listed_features()
    return [name for name in (ARM_FEATURES if is_arm() else X86_FEATURES) if name in found]


def lacks(feature: str) -> bool:
    """Whether the CPU has no such instruction set; no, where the system does not list them."""
    found = _listed_features()
    return bool(found) and feature not in found


def cpu_name() -> str:
    """What the CPU calls itself: "Intel(R) Xeon(R) Processor"."""
    # Linux knows no name of an ARM; under emulation it would be the host's.
    name = "" if is_arm() else _cpuinfo("model name")
    return name or platform.processor() or platform.machine()


def cpu_generation() -> str:
    """What tells CPUs of one name apart, as a virtual machine's: "family 26, model 2".

    Empty on an ARM, and where the system does not say.
    """
    family, model = ("" if is_arm() else _cpuinfo(key) for key in ("cpu family", "model"))
    return f"family {family}, model {model}" if family and model else ""


def keep_freed_memory() -> None:
    """Let malloc keep what is freed, where it is the GNU C library's."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(M_TOP_PAD, KEPT)


def _listed_features() -> list[str]:
    # Emulation by user may show the host's list, under a key that the other architecture has not.
    return _cpuinfo("Features" if is_arm() else "flags").split()


def _cpuinfo(key: str) -> str:
    """What Linux says of the first CPU under `key`; empty if it says nothing."""
    if not CPUINFO.exists():
        return ""
    found = re.search(rf"^{key}\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    return found[1].strip() if found else ""
