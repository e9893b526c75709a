"""The record of the environment tells whether another kind of machine made the results."""

from pathlib import Path

import pytest

from pipeline.errors import LockError
from pipeline.outs import environment, machine
from pipeline.params import PipelineParams


@pytest.mark.parametrize(
    ("change", "described"),
    [
        ({"machine": "Linux aarch64", "cpu_features": ["asimd"]}, "Linux aarch64 (cpu: asimd)"),
        ({"device": "gpu", "machine": "Linux x86_64"}, "Linux x86_64 (gpu: avx2, fma)"),
        ({"machine": "Darwin arm64", "cpu_features": []}, "Darwin arm64 (cpu: )"),
    ],
)
def test_results_of_another_kind_of_machine_are_known_as_such(
    params: PipelineParams, change: dict[str, object], described: str
) -> None:
    record = environment.used(params.runtime) | {"cpu_features": ["avx2", "fma"]} | change
    assert environment.foreign(record, params.runtime) == described


def test_another_version_is_no_other_kind_of_machine(params: PipelineParams) -> None:
    record = environment.used(params.runtime) | {"python": "3.99.0"}
    assert environment.foreign(record, params.runtime) is None


def test_without_a_record_nothing_is_another_kind(params: PipelineParams) -> None:
    assert environment.foreign({}, params.runtime) is None


def test_what_is_decisive_differs_with_the_kind_of_machine_and_the_packages_alone(
    params: PipelineParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment.decisive(params.runtime)
    assert set(here) == {*environment.PACKAGES, *environment.KIND}
    monkeypatch.setattr(machine, "kind", lambda: "Linux riscv64")
    there = environment.decisive(params.runtime)
    assert there.items() - here.items() == {("machine", "Linux riscv64")}


@pytest.mark.parametrize(
    "content", ["", "<<<<<<< HEAD\n{}\n=======\n", '["a list"]', "3", '{"python": "3.1']
)
def test_a_record_that_is_no_json_object_is_named_with_the_way_out(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(LockError, match=r"environment\.json: found no JSON object .* delete it"):
        environment.recorded(tmp_path)
