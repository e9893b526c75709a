"""How values are written on the page."""

from typing import Any

import pytest

from pipeline.report import values


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (477010, "477,010"),
        (0.062921, "0.062921"),
        (30.286231, "30.2862"),
        (1e-7, "1e-07"),
        (True, "true"),
        (None, "none"),
        ([1001, 0.5, "a"], "1,001, 0.5, a"),
        ("data/raw", "data/raw"),
    ],
)
def test_a_value_is_written_for_people(value: Any, written: str) -> None:
    assert values.text(value) == written


@pytest.mark.parametrize(
    ("gap", "written"), [(0.000001, "+0.000001"), (-0.25, "\N{MINUS SIGN}0.25"), (1200, "+1,200")]
)
def test_a_difference_has_its_sign(gap: float, written: str) -> None:
    assert values.signed(gap) == written


def test_names_may_break_behind_their_parts_and_stay_text() -> None:
    assert values.breakable("a_b.c/<d>") == "a_<wbr>b.<wbr>c/&lt;d&gt;"
