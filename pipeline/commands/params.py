"""`python -m pipeline params`: every setting, its value, type, range, and what params.yaml says."""

import argparse
import difflib
import json
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from pipeline import stage_files
from pipeline.errors import ParamsError
from pipeline.outs.tables import table
from pipeline.params import PARAMS, load_params, schema

TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
Json = dict[str, Any]  # a JSON schema, of a section or a value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "key", nargs="?", default="", help="a setting or a section alone: train_dense_ae.optimizer"
    )


def main(*, key: str) -> None:
    """Print a line for each setting at or below `key`, or for all.

    Raises:
        ParamsError: params.yaml is not valid, or has no such key.
    """
    load_params(PARAMS)
    document = YAML(typ="rt").load(PARAMS)
    described = schema(stage_files.names()).model_json_schema()
    rows = [
        (name, shown, _expected(wanted), note)
        for name, shown, wanted, note in _settings(document, described, described.get("$defs", {}))
    ]
    chosen = [row for row in rows if f"{row[0]}.".startswith(f"{key}." if key else "")]
    if not chosen:
        near = difflib.get_close_matches(key, [row[0] for row in rows], n=1, cutoff=0)
        raise ParamsError(f"{PARAMS}: {key}: not found; did you mean '{near[0]}'?")
    lines = table([("setting", "value", "expected", "note"), *chosen], left=4).splitlines()
    print("\n".join(line.rstrip() for line in lines))


def _settings(
    section: Any, schema: Json, definitions: Json, prefix: str = ""
) -> Iterator[tuple[str, str, Json, str]]:
    """Each setting's key, value, schema, and the comment behind it in the file."""
    schema = _resolved(schema, definitions)
    for name, value in section.items():
        key, inner = f"{prefix}{name}", schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and value:
            yield from _settings(value, inner, definitions, f"{key}.")
        else:
            # Not `str`, which shows the loader's own kinds of lists and numbers.
            shown = value if isinstance(value, str) else json.dumps(value)
            yield key, shown, _resolved(inner, definitions), _comment(section, name)


def _resolved(schema: Json, definitions: Json) -> Json:
    """`schema`, or what it refers to; of one that may be left out, what it is if it is there."""
    for option in schema.get("anyOf", [schema]):
        if "$ref" in option:
            return dict(definitions[option["$ref"].rpartition("/")[2]])
    return schema


def _comment(section: Any, name: str) -> str:
    """What follows the value on its line, after the #."""
    behind = section.ca.items.get(name, [None] * 3)[2]
    first = behind.value.splitlines()[0] if behind else ""
    return str(first.removeprefix("#").strip())


def _expected(schema: Json) -> str:
    """The type and range of a value, in words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = schema.get("type")
    if kind == "array":
        fewest, most = schema.get("minItems", 0), schema.get("maxItems", "any number")
        return f"list of {fewest} to {most}: {_expected(schema['items'])}"
    bounds = [f"{sign} {schema[bound]}" for bound, sign in BOUNDS.items() if bound in schema]
    return " ".join([TYPES.get(str(kind), "anything"), ", ".join(bounds)]).strip()
