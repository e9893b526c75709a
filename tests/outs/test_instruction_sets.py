"""Each kind of machine has a cap of its own, so that all of a kind give the same bytes."""

import platform
from pathlib import Path

import pytest

from pipeline.errors import MachineError
from pipeline.outs import instruction_sets, machine, variables
from pipeline.params import PipelineParams

ARM = ("aarch64", "Features\t: fp asimd asimddp sve\n")
NEW = ("x86_64", "flags\t\t: fpu avx avx2 fma avx512f\n")
NO_AVX2 = ("x86_64", "flags\t\t: fpu sse4_2 avx fma\n")
UNKNOWN = ("x86_64", "")
CAPS = {
    NEW: instruction_sets.AVX2,
    NO_AVX2: instruction_sets.AVX,
    ARM: instruction_sets.ASIMD,
    UNKNOWN: instruction_sets.AVX2,
}


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine of the kind that the test's parameter names."""
    architecture, cpuinfo = request.param
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(("on", "cap"), CAPS.items(), indirect=["on"])
@pytest.mark.usefixtures("on")
def test_the_committed_params_hold_libraries_to_what_all_of_a_kind_have(
    params: PipelineParams, cap: instruction_sets.Cap
) -> None:
    instruction_sets.check()
    assert instruction_sets.allowed(params.runtime) == list(cap.features)
    pins = variables.pins(params.runtime)
    assert cap.variables.items() <= pins.items()
    others = [variable for other in CAPS.values() for variable in other.variables.items()]
    assert not {*others} - cap.variables.items() & pins.items()


@pytest.mark.parametrize("on", [NEW, ARM], indirect=True)
@pytest.mark.usefixtures("on")
def test_native_leaves_the_instruction_set_to_the_cpu(params: PipelineParams) -> None:
    native = params.runtime.model_copy(update={"cpu_isa": "native"})
    assert instruction_sets.allowed(native) == machine.cpu_features()
    assert not instruction_sets.cap().variables.items() & variables.pins(native).items()


@pytest.mark.parametrize("on", [("x86_64", "flags\t\t: fpu sse4_2\n")], indirect=True)
@pytest.mark.usefixtures("on")
def test_a_cpu_that_tensorflow_has_no_package_for_is_one_line() -> None:
    with pytest.raises(MachineError, match=r"has no AVX; expected an x86-64 CPU that has it, or a"):
        instruction_sets.check()
