"""What is asked of Linux is asked in one place, and everything goes on where there is no answer."""

import ctypes
import os
import platform
import re
from pathlib import Path

import pytest

from pipeline.outs import machine

ROOT = Path(__file__).parents[2]
LINUX = re.compile(
    r"sched_[gs]etaffinity|mallopt|pidfd_open|memfd_create|SOCK_SEQPACKET|epoll|prctl|[\"'(]/proc\b"
)


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Linux says of the CPU: a file for a test to write."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPUINFO", file)
    return file


def test_the_cpu_is_called_what_linux_calls_it(cpuinfo: Path) -> None:
    cpuinfo.write_text("model name\t: AMD EPYC 9B14\nflags\t\t: fpu avx2 fma\n")
    assert machine.cpu_name() == "AMD EPYC 9B14"


def test_cpus_of_one_name_are_told_apart_by_family_and_model(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo.write_text("cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n")
    assert machine.cpu_generation() == "family 26, model 2"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert machine.cpu_generation() == ""


def test_an_x86_cpu_has_the_instruction_sets_among_its_flags(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo.write_text("flags\t\t: fpu avx avx2 fma\nFeatures\t: asimd\n")
    assert machine.cpu_features() == ["avx2", "fma"]
    assert machine.lacks("avx512f")
    assert not machine.lacks("avx")


@pytest.mark.parametrize("name", ["aarch64", "arm64"])
def test_an_arm_cpu_has_those_among_its_features_and_none_of_an_emulating_host(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: name)
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd evtstrm asimddp sve\n")
    assert machine.cpu_features() == ["asimd", "asimddp", "sve"]
    cpuinfo.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx2 fma\n")
    assert machine.cpu_features() == []
    assert machine.cpu_name() != "AMD EPYC"


def test_without_what_linux_says_there_still_is_an_answer(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not cpuinfo.exists()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # noqa: ARG005 - as ctypes has it
    assert machine.cores() == os.cpu_count()
    assert machine.cpu_name()
    assert machine.cpu_generation() == ""
    assert machine.cpu_features() == []
    assert not machine.lacks("avx")
    machine.keep_freed_memory()


def test_nothing_else_asks_linux() -> None:
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]
    asking = [file.name for file in files if LINUX.search(file.read_text())]
    assert asking == ["machine.py"]
