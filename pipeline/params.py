"""What params.yaml may hold: its sections, their types and ranges, checked before any work."""

import copy
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ParamsError

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Margin = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A locked section: an unknown key is an error, and no value is coerced or changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Runtime(Section):
    """What decides the bytes of a result besides data, code and seed."""

    threads: Count
    memory_budget: Count
    cpu_isa: Literal["avx2", "native"]


class Prepare(Section):
    """Where the images are. The same path twice: one file holds both parts."""

    train_images: str
    train_labels: str
    test_images: str
    test_labels: str
    test_fraction: Fraction
    transpose: bool


class SGD(Section):
    """Settings of `keras.optimizers.SGD`."""

    name: Literal["sgd"]
    learning_rate: Rate
    momentum: Decay
    nesterov: bool


class Adadelta(Section):
    """Settings of `keras.optimizers.Adadelta`."""

    name: Literal["adadelta"]
    learning_rate: Rate
    rho: Decay
    epsilon: Rate


class Adam(Section):
    """Settings of `keras.optimizers.Adam`."""

    name: Literal["adam"]
    learning_rate: Rate
    beta_1: Decay
    beta_2: Decay
    epsilon: Rate


OPTIMIZERS: dict[str, type[Section]] = {"sgd": SGD, "adadelta": Adadelta, "adam": Adam}
Optimizer = Annotated[SGD | Adadelta | Adam, Field(discriminator="name")]


class Training(Section):
    """What every training has: how long, in which batches, by which optimizer."""

    epochs: Count
    batch_size: Count
    optimizer: Optimizer


class Classifier(Training):
    """Activity 2, the dense classifier."""

    hidden_units: Count
    target_accuracy: Annotated[float, Field(gt=0, le=1)]


class DenseAutoencoder(Training):
    """Activity 3, the dense autoencoder."""

    code_units: Count


class ConvAutoencoder(Training):
    """Activity 4, the convolutional autoencoder."""

    filters: Count
    kernel_size: Count


class Visualize(Section):
    """The figures."""

    usetex: bool
    neuron_weights: Annotated[list[float], Field(min_length=1, max_length=4)]
    map_images: Annotated[int, Field(ge=3)]


class ClassifierGate(Section):
    """What a classifier must be better in, and by how much, to become champion."""

    metric: Literal["test_accuracy", "test_loss"]
    margin: Margin


class AutoencoderGate(Section):
    """The same of an autoencoder."""

    metric: Literal["test_bce", "test_mse", "test_psnr", "test_ssim", "probe_accuracy"]
    margin: Margin


class Promotion(Section):
    """The gate of `make promote`; no stage depends on it."""

    train_classifier: ClassifierGate
    train_dense_ae: AutoencoderGate
    train_conv_ae: AutoencoderGate


class Params(Section):
    """The whole of params.yaml; a section is named after the stage or command it steers."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    runtime: Runtime
    prepare: Prepare
    train_classifier: Classifier
    train_dense_ae: DenseAutoencoder
    train_conv_ae: ConvAutoencoder
    probe: Training
    visualize: Visualize
    promotion: Promotion


Model = TypeVar("Model", bound=Section)


def load_params(path: Path) -> Params:
    """Read and check `path`.

    Raises:
        ParamsError: one line for each unknown key, missing key, wrong type or value out of range.
    """
    return checked(Params, read(path), str(path))


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
    # Pydantic adds the optimizer's name to the location: train_classifier.optimizer.sgd.momentum.
    path = [
        part
        for index, part in enumerate(location)
        if not (part in OPTIMIZERS and location[index - 1] == "optimizer")
    ]
    key = ".".join(path) or "(whole file)"
    match error["type"]:
        case "extra_forbidden":
            nearest = difflib.get_close_matches(
                path[-1], _known_keys(model, location), n=1, cutoff=0
            )
            return f"{key}: unknown key; did you mean '{nearest[0]}'?"
        case "missing":
            return f"{key}: missing; every knob is set in this file"
        case "model_type" | "model_attributes_type":
            return f"{key}: found {error['input']!r}, expected a section of `key: value` lines"
        case "union_tag_not_found" | "union_tag_invalid":
            found = error["input"].get("name")
            return f"{key}.name: found {found!r}, expected one of {', '.join(OPTIMIZERS)}"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case _:
            expected = error["msg"].removeprefix("Input should be ")
            return f"{key}: found {error['input']!r}, expected {expected}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    section: Any = model
    for part in location[:-1]:
        if part in OPTIMIZERS:
            section = OPTIMIZERS[part]
        elif part != "optimizer":
            # The keys of a dict are the file's own; what is known is below them.
            within = get_args(section)
            section = within[1] if within else section.model_fields[part].annotation
    return list(section.model_fields)
