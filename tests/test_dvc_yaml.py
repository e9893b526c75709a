"""dvc.yaml against the code: a stage depends on every module and param that can change its outs."""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import stage_files
from pipeline.outs import paths
from pipeline.params import PipelineParams
from pipeline.training.declaration import trainings

ROOT = Path(__file__).parents[1]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# They report what happens, and can change no out.
NO_OUT = ("pipeline/tracking/", "pipeline/progress.py", "pipeline/errors.py")
MAIN, EVALUATION = "stages/__main__.py", "pipeline/training/evaluation.py"

every_stage = pytest.mark.parametrize("stage", STAGES)


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def _imported(file: str, unused: Collection[str] = ()) -> Iterator[str]:
    """The dotted name of all that `file` imports when it runs, at its top or later.

    Its functions that are in `unused` are left out.
    """
    return _names(file, _running(_tree(file), unused))


def _mentioned(file: str) -> Iterator[str]:
    """Likewise, with what is imported for a type checker alone."""
    return _names(file, ast.walk(_tree(file)))


def _names(file: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """What `nodes` of `file` import, packages included."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _running(tree: ast.AST, unused: Collection[str] = ()) -> Iterator[ast.AST]:
    """The nodes of `tree`, less what only a type checker looks at and functions in `unused`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name in unused:
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _running(ast.Module(node.orelse, []), unused)
            continue
        yield node
        yield from _running(node, unused)


def _module_file(name: str) -> str | None:
    """The file behind a dotted name; None if it is not one of this repository's modules."""
    path = name.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    return next((file for file in files if (ROOT / file).is_file()), None)


def _holds_only_a_docstring(file: str) -> bool:
    tree = _tree(file)
    return ast.get_docstring(tree) is not None and len(tree.body) == 1


@cache
def _reached(stage: str) -> frozenset[str]:
    """The files that take part in `stage`: from its script on, import by import.

    A stage that calls `trainings` takes what their stage files declare, which nothing imports.
    """
    reached: set[str] = set()
    unused = {} if stage in trainings(ROOT) else {MAIN: ("_train",)}
    found = {MAIN, f"stages/{stage}.py"}
    if "trainings" in _called(_tree(f"stages/{stage}.py")):
        found |= {f"stages/{name}.py" for name in trainings(ROOT)}
    while found:
        reached |= found
        names = {name for file in found for name in _imported(file, unused.get(file, ()))}
        files = {_module_file(name) for name in names}
        found = {file for file in files if file and not file.startswith(NO_OUT)} - reached
    return frozenset(file for file in reached if not _holds_only_a_docstring(file))


def _called(tree: ast.AST) -> set[str]:
    """The names of the functions that are called below `tree`, those of modules too."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else ast.unparse(call) for call in calls}


def _covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def missing_deps(stage: str, deps: Collection[str]) -> set[str]:
    """The files that take part in `stage` and are neither in `deps` nor in a folder of `deps`."""
    return {file for file in _reached(stage) if not any(_covers(dep, file) for dep in deps)}


def _code_deps(stage: str) -> list[str]:
    folders = ("pipeline", "stages")
    return [dep for dep in STAGES[stage]["deps"] if any(_covers(each, dep) for each in folders)]


@every_stage
def test_a_stage_depends_on_all_the_code_it_reaches(stage: str) -> None:
    assert missing_deps(stage, STAGES[stage]["deps"]) == set()


@every_stage
def test_a_stage_depends_on_no_code_that_it_does_not_reach(stage: str) -> None:
    files = _reached(stage)
    assert {dep for dep in _code_deps(stage) if not any(_covers(dep, f) for f in files)} == set()


@pytest.mark.parametrize(("stage", "dep"), [(s, dep) for s in STAGES for dep in _code_deps(s)])
def test_a_dep_left_out_is_missed(stage: str, dep: str) -> None:
    missed = missing_deps(stage, set(STAGES[stage]["deps"]) - {dep})
    if (ROOT / dep).is_dir():
        assert missed == {file for file in _reached(stage) if _covers(dep, file)} != set()
    else:
        assert missed == {dep}


def test_every_stage_has_its_script_and_every_script_its_stage() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert scripts == set(STAGES)
    for stage, entry in STAGES.items():
        assert entry["cmd"] == f"python3 stages {stage}"


def _functions(file: str) -> dict[str, ast.FunctionDef]:
    """Those at the top of `file`, by name."""
    return {node.name: node for node in _tree(file).body if isinstance(node, ast.FunctionDef)}


def _measuring(stage: str) -> list[ast.FunctionDef]:
    """The functions of pipeline/training/evaluation.py that the stage's file comes to call."""
    functions = _functions(EVALUATION)
    reached: set[str] = set()
    found = _called(_tree(f"stages/{stage}.py")) & {*functions}
    while found:
        reached |= found
        found = {name for each in found for name in _called(functions[each])} & {*functions}
        found -= reached
    return [functions[name] for name in reached]


def _reads(tree: ast.AST) -> set[str]:
    """The sections of params.yaml read below `tree`: in `params.seed`, `self.params.runtime`."""
    chains = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    found = [re.fullmatch(r"(?:(?:self|task)\.)?params\.(\w+)", chain) for chain in chains]
    return {match[1] for match in found if match} & {*PipelineParams.model_fields, *STAGES}


def _reads_of_others(stage: str) -> set[str]:
    """The params of other stages that its file reads, in `getattr(params.section(...), "name")`."""
    calls = [node for node in ast.walk(_tree(f"stages/{stage}.py")) if isinstance(node, ast.Call)]
    found = [
        re.fullmatch(r"getattr\(params\.section\(\w+\), '(\w+)'.*\)", ast.unparse(call))
        for call in calls
    ]
    names = {match[1] for match in found if match}
    sections = stage_files.declared("Params", [*trainings(ROOT)])
    return {f"{other}.{name}" for other in sections for name in names & {*_fields(other)}}


def _fields(stage: str) -> Collection[str]:
    """The keys of its section of params.yaml."""
    return stage_files.declared("Params", [stage])[stage].model_fields.keys()


def _params_read(stage: str) -> set[str]:
    """What `stage` reads of params.yaml: its own section, and what the code that it runs names.

    That stages/__main__.py pins the runtime, before every stage, does not count.
    """
    trains = stage in trainings(ROOT)
    code: list[ast.AST] = [
        _tree(file)
        for file in _reached(stage) - {MAIN, EVALUATION}
        if trains or not file.startswith("pipeline/training/")
    ]
    code += _measuring(stage)
    if trains:
        code.append(_functions(MAIN)["_train"])
    own = {*stage_files.declared("Params", [stage])}
    return own | {name for tree in code for name in _reads(tree)} | _reads_of_others(stage)


@every_stage
def test_a_stage_declares_the_params_that_it_reads_and_no_others(stage: str) -> None:
    assert _params_read(stage) == set(STAGES[stage]["params"])


def _outs(entry: dict[str, Any]) -> list[str]:
    listed = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


def test_every_out_is_written_by_one_stage() -> None:
    outs = [out for entry in STAGES.values() for out in _outs(entry)]
    assert len(outs) == len(set(outs))


def _pipeline_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")]


def test_only_tracking_imports_mlflow() -> None:
    importing = {file for file in _pipeline_files() if "mlflow" in _mentioned(file)}
    assert importing
    assert {file for file in importing if not file.startswith("pipeline/tracking/")} == set()


def test_only_sweeps_import_ray() -> None:
    importing = {file for file in _pipeline_files() if {"ray", "optuna"} & {*_mentioned(file)}}
    assert importing
    assert {file for file in importing if not file.startswith("pipeline/sweeps/")} == set()


def test_imports_point_from_stages_to_pipeline_and_to_no_command_line() -> None:
    importers = {
        (file, name)
        for file in _pipeline_files()
        for name in _mentioned(file)
        if name in {"stages", "tests", "pipeline.__main__"}
    }
    assert importers == {("pipeline/sweeps/cluster.py", "stages")}  # to send them to a cluster


def test_the_folders_of_the_pipeline_import_each_other_in_no_circle() -> None:
    imports: dict[str, set[str]] = {}
    for file in _pipeline_files():
        found = {_module_file(name) for name in _imported(file)}
        imports.setdefault(_room(file), set()).update(
            _room(other) for other in found if other and other.startswith("pipeline/")
        )
    while leaves := [room for room, others in imports.items() if not others - {room}]:
        for leaf in leaves:
            del imports[leaf]
        imports = {room: others - {*leaves} for room, others in imports.items()}
    assert imports == {}


def _room(file: str) -> str:
    """The folder of pipeline/ that `file` is in, or the module itself."""
    return "/".join(file.split("/")[:2])


def _covered(stage: str, start: str | tuple[str, ...]) -> set[str]:
    """The files of the pipeline that a dep of `stage` covers, of those that begin with `start`."""
    files = [file for file in _pipeline_files() if file.startswith(start)]
    assert files
    return {file for file in files for dep in STAGES[stage]["deps"] if _covers(dep, file)}


@every_stage
def test_no_stage_depends_on_what_can_change_no_out(stage: str) -> None:
    assert all((ROOT / path).exists() for path in NO_OUT)
    assert _covered(stage, NO_OUT) == set()


@pytest.mark.parametrize("stage", trainings(ROOT))
def test_reading_image_files_is_no_dep_of_a_training(stage: str) -> None:
    assert _covered(stage, "pipeline/data/files/") == set()


@pytest.mark.parametrize(
    "classifier", [name for name, one in trainings(ROOT).items() if one.output == "classes"]
)
def test_visualize_draws_the_target_of_each_classifier_that_has_one(classifier: str) -> None:
    declares = f"{classifier}.target_accuracy" in STAGES["visualize"]["params"]
    assert declares == ("target_accuracy" in _fields(classifier))


@pytest.mark.parametrize("stage", trainings(ROOT))
def test_a_training_writes_the_files_that_others_read(stage: str) -> None:
    files = (paths.model, paths.structure, paths.history, paths.metrics)
    assert {*_outs(STAGES[stage])} == {str(path(stage)) for path in files}


def test_trainings_are_told_apart_by_title_and_those_of_a_kind_by_label() -> None:
    declared = trainings(ROOT).values()
    assert len({training.title for training in declared}) == len(declared)
    assert len({(training.output, training.label) for training in declared}) == len(declared)


def test_dvc_yaml_is_short_enough_to_read() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 120


def test_prepare_and_the_command_line_import_nothing_heavy() -> None:
    modules = ["stages.__main__", "pipeline.data.files.preparation", "pipeline.__main__"]
    modules += [f"stages.{stage}" for stage in STAGES]  # a command may ask what they declare
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert loaded.isdisjoint({"tensorflow", "keras", "mlflow", "matplotlib", "pandas", "ray"})
