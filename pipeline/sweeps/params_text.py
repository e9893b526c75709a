"""Changes of params.yaml that leave all else in it as a person wrote it."""

import json
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node


def changed(text: str, point: Mapping[str, Any]) -> str:
    """`text`, a params.yaml, with the values of `point` at their dotted keys.

    A loader that keeps comments writes the file anew: it would wrap lines and move columns.
    """
    root = YAML(typ="rt").compose(text)
    places = {key: _value(root, key) for key in point}
    for key, node in sorted(places.items(), key=lambda place: -place[1].start_mark.index):
        value = point[key]
        # JSON's numbers, strings and booleans are YAML's, too; a plain word needs no quotes.
        new = value if isinstance(value, str) and value.isidentifier() else json.dumps(value)
        text = text[: node.start_mark.index] + new + text[node.end_mark.index :]
    return text


def _value(root: Node, key: str) -> Node:
    node = root
    for part in key.split("."):
        assert isinstance(node, MappingNode)  # noqa: S101 - the key has been found there before
        node = next(value for name, value in node.value if name.value == part)
    return node
