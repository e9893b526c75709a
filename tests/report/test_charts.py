"""Curves as lines of an SVG."""

import math

from pipeline.report import charts


def _places(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def _history(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": float(epoch), "loss": loss} for epoch, loss in enumerate(losses, start=1)]


def test_a_column_and_that_of_held_out_images_share_a_chart() -> None:
    rows = [{"epoch": 1.0, "loss": 2.0, "accuracy": 0.5, "test_loss": 3.0, "error": 1.0}]
    found = {
        chart.title: [line.name for line in chart.lines] for chart in charts.charts({"": rows})
    }
    assert found == {"loss": ["loss", "test_loss"], "accuracy": ["accuracy"], "error": ["error"]}


def test_lines_go_from_the_first_epoch_to_the_last_within_the_plot() -> None:
    (chart,) = charts.charts({"": _history(4.0, 1.0, 2.0)})
    (line,) = chart.lines
    places = _places(line.points)
    across = [x for x, _ in places]
    assert across == [charts.LEFT, (charts.LEFT + charts.WIDTH - charts.RIGHT) / 2,
                      charts.WIDTH - charts.RIGHT]  # fmt: skip
    up = [y for _, y in places]
    assert charts.TOP <= up[0] < up[2] < up[1] <= charts.HEIGHT - charts.BOTTOM
    assert (line.first, line.last) == (4.0, 2.0)


def test_ticks_are_round_values_at_their_places() -> None:
    (chart,) = charts.charts({"": _history(*(0.3 - 0.01 * epoch for epoch in range(20)))})
    assert [tick.text for tick in chart.up] == [
        "0.08",
        "0.12",
        "0.16",
        "0.2",
        "0.24",
        "0.28",
        "0.32",
    ]
    assert all(tick.text.isdecimal() for tick in chart.across)
    assert chart.up[0].at == charts.HEIGHT - charts.BOTTOM
    assert chart.up[-1].at == charts.TOP


def test_two_revisions_are_drawn_to_the_same_scale() -> None:
    (chart,) = charts.charts({"now": _history(1.0, 0.5), "was": _history(2.0, 1.5, 1.0)})
    now, was = chart.lines
    assert (now.revision, was.revision) == ("now", "was")
    assert now.style != was.style
    assert _places(now.points)[0][1] == _places(was.points)[2][1]  # both 1.0


def test_one_epoch_and_a_level_line_can_be_drawn() -> None:
    for rows in (_history(0.5), _history(0.0, 0.0), _history(0.7, 0.7, 0.7)):
        (chart,) = charts.charts({"": rows})
        assert all(map(math.isfinite, sum(_places(chart.lines[0].points), ())))


def test_what_is_no_finite_number_is_left_out() -> None:
    (chart,) = charts.charts({"": _history(math.nan, 1.0, math.inf, 0.5)})
    assert len(_places(chart.lines[0].points)) == 2
    assert [*charts.charts({"": _history(math.nan)})] == []
