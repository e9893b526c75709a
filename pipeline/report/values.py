"""How values are written on the page."""

import json
import re
from typing import Any

from markupsafe import Markup, escape

from pipeline.outs.artifacts import DECIMALS

ABSENT = "—"  # where a revision has no such value
MINUS = "\N{MINUS SIGN}"
SHORT = 8  # digits of a hash that a person compares


def text(value: Any) -> str:
    """A param or a metric: whole numbers in groups of three, others to six digits."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
        case list():
            return ", ".join(map(text, value))
        case _:
            return "none" if value is None else json.dumps(value)


def short(md5: str) -> str:
    """The beginning of a hash."""
    return md5[:SHORT]


def signed(gap: float) -> str:
    """A difference of two metrics, with its sign."""
    digits = f"{abs(gap):,.{DECIMALS}f}".rstrip("0").rstrip(".")
    return f"{'-' if gap < 0 else '+'}{digits}".replace("-", MINUS)


def breakable(name: str) -> Markup:
    """A key or a path that a narrow column may break behind each of its parts."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[._/])(?=\w)", name))
