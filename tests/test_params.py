"""params.yaml as committed, and every way to get a knob of it wrong."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from pipeline import stage_files
from pipeline.errors import ParamsError
from pipeline.params import Section, checked, load_params, schema

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(PARAMS)
SCHEMA = schema(stage_files.names(ROOT))

WRONG_TYPES: dict[type, list[Any]] = {
    int: ["many", 1.5, True],
    float: ["much", True],
    bool: ["yes", 1],
    str: [3, None],
    list: [1.0],
}
NOT_COUNTS = [0]
NOT_RATES = [0.0, float("inf"), float("nan")]
NOT_DECAYS = [-0.1, 1.0]
NOT_SHARES = [0.0, 1.01]
OUT_OF_RANGE: dict[str, list[Any]] = {
    "seed": [-1, 2**31],
    "threads": NOT_COUNTS,
    "memory_budget": NOT_COUNTS,
    "cpu_isa": ["avx512"],
    "device": ["tpu"],
    "validation": ["both"],
    "test_fraction": [*NOT_SHARES, 1.0],
    "hidden_units": NOT_COUNTS,
    "target_accuracy": NOT_SHARES,
    "epochs": NOT_COUNTS,
    "batch_size": NOT_COUNTS,
    "code_units": NOT_COUNTS,
    "filters": NOT_COUNTS,
    "kernel_size": NOT_COUNTS,
    "name": ["sdg"],
    "learning_rate": NOT_RATES,
    "epsilon": NOT_RATES,
    "momentum": NOT_DECAYS,
    "rho": NOT_DECAYS,
    "beta_1": NOT_DECAYS,
    "beta_2": NOT_DECAYS,
    "neuron_weights": [[], [1.0] * 5],
    "map_images": [2],
    "metric": ["train_loss"],
    "experiment": ["", "a/b"],
    "models": ["", "a:b"],
    "artifacts": ["link"],
    "margin": [-0.001, float("inf"), float("nan")],
}
ANY_VALUE_OF_ITS_TYPE = {
    *("train_images", "train_labels", "test_images", "test_labels"),
    *("to_grey", "transpose", "nesterov", "usetex"),
}


def _nodes(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        yield f"{prefix}{name}", value
        if isinstance(value, dict):
            yield from _nodes(value, f"{prefix}{name}.")


NODES = dict(_nodes(DOCUMENT))
LEAVES = {key: value for key, value in NODES.items() if not isinstance(value, dict)}
NAMED = [key for key in NODES if not key.endswith(".name")]  # a name decides what its section is
OPTIONAL = ["promotion", *(f"promotion.{name}" for name in DOCUMENT["promotion"])]


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _parent(document: dict[str, Any], key: str) -> dict[str, Any]:
    section: dict[str, Any] = reduce(dict.__getitem__, key.split(".")[:-1], document)
    return section


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def _complaint(path: Path, content: dict[str, Any] | str | bytes) -> str:
    """What is said of a file; a document is judged as `load_params` judges what it has read."""
    if isinstance(content, dict):
        with pytest.raises(ParamsError) as caught:
            checked(SCHEMA, content, str(path))
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ParamsError) as caught:
            load_params(path)
    return str(caught.value)


def _with(key: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    _parent(document, key)[_last(key)] = value
    return document


def test_the_committed_params_are_valid_and_read_as_written() -> None:
    assert load_params(PARAMS).model_dump() == DOCUMENT


def test_every_knob_has_a_range_or_takes_any_value_of_its_type() -> None:
    assert {_last(key) for key in LEAVES} == set(OUT_OF_RANGE) | ANY_VALUE_OF_ITS_TYPE


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, wrong) for key, value in LEAVES.items() for wrong in WRONG_TYPES[type(value)]],
)
def test_a_value_of_the_wrong_type_is_named_in_one_line(path: Path, key: str, value: Any) -> None:
    complaint = _complaint(path, _with(key, value))
    assert complaint.startswith(f"{path}: {key}: found {value!r}, expected ")
    assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, wrong) for key in LEAVES for wrong in OUT_OF_RANGE.get(_last(key), [])],
)
def test_a_value_out_of_range_is_named_in_one_line(path: Path, key: str, value: Any) -> None:
    complaint = _complaint(path, _with(key, value))
    assert complaint.startswith(f"{path}: {key}: found {value!r}, expected ")
    assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize(
    ("written", "read"),
    [("-1", -1), ("yes", "yes"), ("true", True), ("1.5", 1.5), (".inf", float("inf"))],
)
def test_a_value_is_told_as_yaml_reads_it(path: Path, written: str, read: Any) -> None:
    complaint = _complaint(path, PARAMS.read_text().replace("seed: 42", f"seed: {written}"))
    assert complaint.startswith(f"{path}: seed: found {read!r}, expected ")


def test_a_value_within_a_list_is_named_by_its_place(path: Path) -> None:
    complaint = _complaint(path, _with("visualize.neuron_weights", [1.0, float("nan")]))
    assert complaint.startswith(f"{path}: visualize.neuron_weights.1: found nan, expected ")


@pytest.mark.parametrize("key", NAMED)
def test_an_unknown_key_names_the_nearest_known_one(path: Path, key: str) -> None:
    name = _last(key)
    document = copy.deepcopy(DOCUMENT)
    section = _parent(document, key)
    section[f"{name}s"] = section.pop(name)
    expected = f"{path}: {key}s: unknown key; did you mean '{name}'?"
    assert _complaint(path, document) == expected


def _without(key: str) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    del _parent(document, key)[_last(key)]
    return document


@pytest.mark.parametrize("key", [key for key in NAMED if key not in OPTIONAL])
def test_a_missing_key_is_named(path: Path, key: str) -> None:
    assert _complaint(path, _without(key)).startswith(f"{path}: {key}: missing")


@pytest.mark.parametrize("key", OPTIONAL)
def test_promotion_may_leave_out_a_training(path: Path, key: str) -> None:
    YAML().dump(_without(key), path)
    promotion = load_params(path).promotion
    left_out = set(DOCUMENT["promotion"]) if key == "promotion" else {_last(key)}
    assert {name for name, gate in promotion if gate is None} == left_out


def test_each_mistake_has_a_line_of_its_own(path: Path) -> None:
    document = _with("seed", -1) | {"probe": 3}
    first, second = _complaint(path, document).splitlines()
    assert first.startswith(f"{path}: seed: ")
    assert second.startswith(f"{path}: probe: found 3, expected a section")


def test_for_an_unknown_optimizer_the_known_ones_are_named(path: Path) -> None:
    complaint = _complaint(path, _with("probe.optimizer.name", "sgdd"))
    assert complaint == (
        f"{path}: probe.optimizer.name: found 'sgdd', expected 'sgd', 'adadelta' or 'adam'"
    )


@pytest.mark.parametrize("name", ["sgd", "adadelta", "adam"])
@pytest.mark.parametrize("section", ["train_classifier", "train_dense_ae", "probe"])
def test_another_optimizer_is_one_change_away(path: Path, section: str, name: str) -> None:
    YAML().dump(_with(f"{section}.optimizer.name", name), path)
    chosen = load_params(path).section(section).optimizer
    assert type(chosen.settings).__name__.lower() == name


@pytest.mark.parametrize("optimizer", ["sgd", 3, None, ["sgd"]])
def test_an_optimizer_must_be_a_section(path: Path, optimizer: Any) -> None:
    complaint = _complaint(path, _with("probe.optimizer", optimizer))
    assert complaint.startswith(f"{path}: probe.optimizer: found {optimizer!r}, expected a section")


def test_a_setting_of_another_optimizer_is_unknown_and_the_known_ones_are_named(path: Path) -> None:
    complaint = _complaint(path, _with("train_classifier.optimizer.sgd.rho", 0.95))
    assert complaint == (
        f"{path}: train_classifier.optimizer.sgd.rho: unknown key; "
        "known: learning_rate, momentum, nesterov"
    )


@pytest.mark.parametrize("number", ["1e-7", "1.e-7", "1E-7", "0.0000001"])
def test_a_small_number_may_be_written_in_any_way(path: Path, number: str) -> None:
    text = PARAMS.read_text()
    assert "1.0e-7" in text
    path.write_text(text.replace("1.0e-7", number))
    assert load_params(path).model_dump() == load_params(PARAMS).model_dump()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("seed: [1, 2", id="open bracket"),
        pytest.param("seed: 1\n\tprobe: 2", id="tab"),
        pytest.param("seed: 1\nseed: 2", id="key given twice"),
        pytest.param("probe: {epochs: 1, epochs: 1}", id="inner key given twice"),
        pytest.param("seed: 1\n---\nseed: 2", id="two documents"),
        pytest.param("seed: !!python/object/apply:os.getcwd []", id="Python object"),
        pytest.param("seed: 2001-99-99", id="impossible date"),
        pytest.param("seed: " + "[" * 1_000, id="nested without end"),
        pytest.param("seed: \0", id="null character"),
        pytest.param(b"seed: \xff", id="not UTF-8"),
        pytest.param("", id="empty"),
        pytest.param("- seed", id="list"),
        pytest.param("seed", id="word"),
    ],
)
def test_what_is_no_section_in_yaml_is_told_in_one_line(path: Path, content: str | bytes) -> None:
    complaint = _complaint(path, content)
    assert complaint.startswith(f"{path}: ")
    assert len(complaint.splitlines()) == 1


def test_a_key_given_twice_is_named(path: Path) -> None:
    assert 'duplicate key "seed"' in _complaint(path, PARAMS.read_text() + "\nseed: 7\n")


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ParamsError, match=f"^{path}: .*No such file"):
        load_params(path)


def test_no_section_can_be_changed_later() -> None:
    params = load_params(PARAMS)
    sections: list[Section] = [params]
    for section in sections:
        for name, value in section:
            if isinstance(value, Section):
                sections.append(value)
            with pytest.raises(ValidationError, match="frozen"):
                setattr(section, name, value)
    assert len(sections) == 1 + sum(isinstance(value, dict) for value in NODES.values())


NEW = """
from pipeline.params import Count, TrainingParams
from pipeline.training.declaration import Training
from pipeline.training.metrics import EPOCHS, Metric

class Params(TrainingParams):
    layers: Count

METRICS = (Metric("test_gini", "higher", held_out=True), Metric("train_gini", "higher"), EPOCHS)
TRAINING = Training(print, output="classes", metrics=METRICS, gate="test_gini")
"""
OWN = {"layers": 3} | {key: DOCUMENT["probe"][key] for key in ("epochs", "batch_size", "optimizer")}
# Whether params.yaml is right, and what is imported of what takes seconds.
CHECK = """
import sys
from pipeline import errors, params
with errors.reported():
    params.load_params(params.PARAMS)
slow = ("keras", "matplotlib", "mlflow", "numpy", "tensorflow")
print([name for name in slow if name in sys.modules])
"""


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A folder with a training more, and with a stage of another kind, in Python or not."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    (tmp_path / "stages/train_new.py").write_text(NEW)
    pipeline = YAML(typ="safe").load(ROOT / stage_files.PIPELINE)
    pipeline["stages"] |= {"train_new": {"cmd": "true"}, "export": {"cmd": "true"}}
    YAML().dump(pipeline, tmp_path / stage_files.PIPELINE)
    return tmp_path


def _checked(extended: Path, sections: dict[str, Any]) -> str:
    """What is said of params.yaml with these sections more, and in place of the committed ones."""
    YAML().dump({**DOCUMENT, **sections}, extended / "params.yaml")
    return _said(extended, CHECK)


def _said(extended: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=extended,
        env=os.environ | {"PYTHONPATH": f"{extended}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def test_a_stage_file_that_is_added_says_what_its_section_holds(extended: Path) -> None:
    assert _checked(extended, {"train_new": OWN}) == "[]"
    assert _checked(extended, {}) == (
        "error: params.yaml: train_new: missing; every knob is set in this file"
    )
    assert _checked(extended, {"train_new": OWN | {"layers": 0}}) == (
        "error: params.yaml: train_new.layers: found 0, expected greater than or equal to 1"
    )
    assert _checked(extended, {"train_new": OWN | {"layer": 3}}) == (
        "error: params.yaml: train_new.layer: unknown key; did you mean 'layers'?"
    )


@pytest.mark.parametrize("metric", ["test_accuracy", "train_gini", "epochs"])
def test_a_gate_goes_by_what_its_training_declares_and_measures_on_held_out_images(
    extended: Path, metric: str
) -> None:
    gates = {"train_new": {"metric": metric, "margin": 0}}
    sections = {"train_new": OWN, "promotion": DOCUMENT["promotion"] | gates}
    assert _checked(extended, sections) == (
        f"error: params.yaml: promotion.train_new.metric: found '{metric}', expected 'test_gini'"
    )
    gates["train_new"]["metric"] = "test_gini"
    assert _checked(extended, sections) == "[]"


def test_a_gate_of_what_is_no_training_is_unknown(extended: Path) -> None:
    gates = DOCUMENT["promotion"] | {"export": {"metric": "test_gini", "margin": 0}}
    assert _checked(extended, {"train_new": OWN, "promotion": gates}).startswith(
        "error: params.yaml: promotion.export: unknown key; "
    )


def test_the_section_of_a_stage_without_a_stage_file_is_its_own_affair(extended: Path) -> None:
    section = {"format": "onnx", "opset": [17], "deep": {"er": None}}
    assert _checked(extended, {"train_new": OWN, "export": section}) == "[]"


def test_a_section_that_no_stage_is_named_after_is_unknown(extended: Path) -> None:
    assert _checked(extended, {"train_new": OWN, "train_newer": OWN}) == (
        "error: params.yaml: train_newer: unknown key; did you mean 'train_new'?"
    )


def test_a_training_that_is_left_out_of_promotion_has_the_gate_that_its_file_declares() -> None:
    for name, training in stage_files.declared("TRAINING").items():
        assert training.metric(training.gate).held_out, name


def test_neither_a_stage_file_nor_what_checks_params_yaml_imports_anything_slow(
    extended: Path,
) -> None:
    assert _checked(extended, {"train_new": OWN}) == "[]"
    stages = ", ".join(f"stages.{name}" for name in stage_files.names(ROOT))
    assert _said(extended, f"import {stages}\n{CHECK}") == "[]"
