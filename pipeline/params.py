"""What params.yaml may hold: its sections, their types and ranges, checked before any work.

What the stages share is here; the section that is named after a stage is declared in its file.
"""

import copy
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import stage_files
from pipeline.errors import ParamsError

PARAMS = Path("params.yaml")
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Margin = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[\w .-]+$", max_length=100)]  # what MLflow's URIs can hold
Decay = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A locked section: an unknown key is an error, and no value is coerced or changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Runtime(Section):
    """What decides the bytes of a result besides data, code and seed."""

    threads: Count
    memory_budget: Count
    cpu_isa: Literal["avx2", "native"]
    device: Literal["cpu", "gpu"]


class SGD(Section):
    """Settings of `keras.optimizers.SGD`."""

    learning_rate: Rate
    momentum: Decay
    nesterov: bool


class Adadelta(Section):
    """Settings of `keras.optimizers.Adadelta`."""

    learning_rate: Rate
    rho: Decay
    epsilon: Rate


class Adam(Section):
    """Settings of `keras.optimizers.Adam`."""

    learning_rate: Rate
    beta_1: Decay
    beta_2: Decay
    epsilon: Rate


class Optimizer(Section):
    """Which optimizer, and settings for each: to try another is to change `name` alone."""

    name: Literal["sgd", "adadelta", "adam"]
    sgd: SGD
    adadelta: Adadelta
    adam: Adam

    @property
    def settings(self) -> Section:
        """Those of the optimizer that `name` chooses."""
        settings: Section = getattr(self, self.name)
        return settings


class TrainingParams(Section):
    """What every training has: how long, in which batches, by which optimizer."""

    epochs: Count
    batch_size: Count
    optimizer: Optimizer


class Gate(Section):
    """What a model must be better in, and by how much, to become champion."""

    metric: str
    margin: Margin


class Tracking(Section):
    """What MLflow calls things, and what it keeps of them; no stage depends on it.

    Attributes:
        experiment: that the runs are in; MLFLOW_EXPERIMENT_NAME goes before it.
        models: what the names of registered models begin with.
        artifacts: copy: models and figures are in MLflow; reference: their md5s are, and the files
            stay in DVC's cache and remote.
    """

    experiment: Name
    models: Name
    artifacts: Literal["copy", "reference"]


class PipelineParams(Section):
    """The whole of params.yaml, as far as the stages share it; `schema` adds the others' sections.

    Attributes:
        seed: of weights, of the order of images, and of every other random choice.
        runtime: see `Runtime`.
        probe: the linear classifier on the codes of autoencoders.
        promotion: gates by training, in place of what its file declares; no stage depends on them.
        tracking: see `Tracking`.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    runtime: Runtime
    probe: TrainingParams
    promotion: Section
    tracking: Tracking

    def section(self, stage: str) -> Any:
        """The section that is named after `stage`."""
        return getattr(self, stage)


def schema(stages: list[str]) -> type[PipelineParams]:
    """`PipelineParams` with the section of each of `stages` that has one."""
    sections: dict[str, Any] = {
        # What a program of another kind makes of its section is its own affair.
        **{stage: (dict[str, Any], {}) for stage in stages},
        **{name: (cls, ...) for name, cls in stage_files.declared("Params", stages).items()},
    }
    gates: dict[str, Any] = {
        name: (_gate(training.metrics) | None, None)
        for name, training in stage_files.declared("TRAINING", stages).items()
    }
    promotion: Any = create_model("Promotion", __base__=Section, **gates)
    return create_model(
        "Params", __base__=PipelineParams, **sections, promotion=(promotion, promotion())
    )


def _gate(metrics: Any) -> Any:
    names: Any = Literal[tuple(metric.name for metric in metrics if metric.held_out)]
    return create_model("Gate", __base__=Gate, metric=(names, ...))


Model = TypeVar("Model", bound=Section)


def load_params(path: Path) -> PipelineParams:
    """Read and check `path`.

    Raises:
        ParamsError: one line for each unknown key, missing key, wrong type or value out of range.
    """
    return checked(schema(stage_files.names()), read(path), str(path))


def read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ParamsError: it is missing, or no YAML.
    """
    try:
        return YAML(typ="safe").load(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: {error}") from None
    except (YAMLError, ValueError, LookupError, RecursionError) as error:
        raise ParamsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def checked(model: type[Model], document: Any, source: str) -> Model:
    """What `document`, which came from `source`, says of `model`.

    Raises:
        ParamsError: as `load_params` does, each line with `source` before it.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        details = error.errors()
        # A misspelt key is also a missing one; the misspelling is what the user wants to hear of.
        unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
        lines = [f"{source}: {_describe(model, detail)}" for detail in unknown or details]
        raise ParamsError("\n".join(lines)) from None


def with_values(document: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The content of params.yaml with these values at their keys."""
    changed = copy.deepcopy(dict(document))
    for key, value in point.items():
        *sections, name = key.split(".")
        inner = changed
        for section in sections:
            inner = inner[section]
        inner[name] = value
    return changed


def _describe(model: type[BaseModel], error: ErrorDetails) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location) or "(whole file)"
    match error["type"]:
        case "extra_forbidden":
            known = _known_keys(model, location)
            nearest = difflib.get_close_matches(location[-1], known, n=1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
            return f"{key}: unknown key; {hint}"
        case "missing":
            return f"{key}: missing; every knob is set in this file"
        case "model_type" | "model_attributes_type":
            return f"{key}: found {error['input']!r}, expected a section of `key: value` lines"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case _:
            expected = error["msg"].removeprefix("Input should be ")
            return f"{key}: found {error['input']!r}, expected {expected}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    section: Any = model
    for part in location[:-1]:
        # The keys of a dict are the file's own; what is known is below them.
        held = get_args(section)
        found = held[1] if held else section.model_fields[part].annotation
        section = get_args(found)[0] if type(None) in get_args(found) else found
    return list(section.model_fields)
