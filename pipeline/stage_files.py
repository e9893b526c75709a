"""The stages: which ones dvc.yaml names, and what their files in stages/ declare.

Commands import the stage files to check params.yaml, before NumPy and TensorFlow may be imported
(`outs.runtime.pin`). So a stage file imports these, and what needs them, inside its functions.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import LockError

PIPELINE = Path("dvc.yaml")


def names(root: Path = Path()) -> list[str]:
    """The stages, in the order of dvc.yaml.

    Raises:
        LockError: dvc.yaml is missing or no pipeline.
    """
    return list(document(root / PIPELINE).get("stages", {}))


def declared(attribute: str, stages: list[str] | None = None) -> dict[str, Any]:
    """The `attribute` of each stage file that has it, by stage: of all, or of these `stages`.

    A stage whose command is a program of another kind has no file, and declares nothing.
    """
    found = {}
    for name in names() if stages is None else stages:
        if importlib.util.find_spec(f"stages.{name}"):
            module = importlib.import_module(f"stages.{name}")
            if hasattr(module, attribute):
                found[name] = getattr(module, attribute)
    return found


def document(path: Path, remedy: str = "it is in the repository's root") -> dict[str, Any]:
    """The content of a file of DVC's; `remedy` is for when there is none.

    Raises:
        LockError: it is missing, no YAML, or something else.
    """
    try:
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise LockError(f"{path}: not found; {remedy}") from None
    except YAMLError as error:
        raise LockError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise LockError(f"{path}: found no stages, expected those of a DVC pipeline")
    return content
