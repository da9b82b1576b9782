"""Pictures of students side by side: axes that hide nothing, and the spread of what was measured in time."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from stillhouse.comparison import charts


def row(name: str, **changes: Any) -> dict[str, Any]:
    values = {"name": name, "kind": "student", "teacher": "rings", "metric": "accuracy", "quality": 0.9, "macs": 5e6}
    return values | {"latency_ms": 4.0, "latency_spread_ms": 0.5} | changes


ROWS = [row("rings", kind="teacher", macs=1e7, latency_ms=8.0), row("half", quality=0.8), row("<&>", teacher="digits")]


def places(chart: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)]


def test_a_cost_starts_at_zero_so_that_half_of_it_is_half_the_way():
    for chart in charts.quality(ROWS[:2]):
        (teacher, _), (half, _) = places(chart)
        assert abs((half - charts.LEFT) - 0.5 * (teacher - charts.LEFT)) < 0.2


def test_an_axis_that_starts_elsewhere_says_where():
    costs, times = charts.quality(ROWS[:2])
    assert all("accuracy (from 0.788)" in chart for chart in (costs, times))
    assert ">million MACs per validation batch<" in costs
    assert ">latency, ms per test batch (median ± spread)<" in times


def test_the_spread_of_a_latency_is_drawn_to_both_sides():
    costs, times = charts.quality(ROWS[:2])
    assert 'class="spread"' not in costs
    bars = [(float(low), float(high)) for low, high in re.findall(r'class="spread" d="M([\d.]+),[\d.]+H([\d.]+)"', times)]
    scale = (places(times)[0][0] - charts.LEFT) / 8.0
    assert [round((high - low) / scale, 1) for low, high in bars] == [1.0, 1.0]
    assert [round((low + high) / 2) for low, high in bars] == [round(x) for x, _ in places(times)]


def test_the_spread_over_seeds_is_drawn_upwards_and_said():
    rows = [ROWS[0], row("half", quality=0.8, seeds={1: 0.8, 2: 0.7, 3: 0.85})]
    for chart, plain in zip(charts.quality(rows), charts.quality(ROWS[:2]), strict=True):
        [(across, high, low)] = [tuple(map(float, found)) for found in re.findall(r'class="spread" d="M([\d.]+),([\d.]+)V([\d.]+)"', chart)]
        (_, top), (x, y) = places(chart)
        assert x == across
        scale = (y - top) / (0.9 - 0.8)
        assert [round((value - y) / scale, 2) for value in (high, low)] == [0.1, -0.05], "from the worst seed to the best"
        assert "; 3 seeds: 0.7 to 0.85" in chart
        assert "accuracy, bar: seeds" in chart
        assert "seeds" not in plain


def test_the_file_has_every_teacher_with_the_names_of_its_marks():
    text = charts.picture(ROWS)
    root = ElementTree.fromstring(text)
    legends = [element.text for element in root if element.tag.endswith("text")]
    assert legends == ["1 rings, 2 half", "1 <&>"]
    assert sum(element.tag.endswith("}svg") for element in root) == 4
    assert text == charts.picture(ROWS), "equal tables give equal bytes"
    ElementTree.fromstring(charts.picture([]))


def test_a_curve_of_positive_values_has_no_axis_below_zero():
    chart = charts.line([1.0, 2.0, 12.0], [1.5, 0.5, 0.01], "loss")
    assert ">loss<" in chart, "it starts at zero"
    assert not re.findall(r">-[\d.]+<", chart)
    assert ">valid_loss (from -" in charts.line([1.0, 2.0], [0.5, -0.5], "valid_loss")
