"""Charts as SVG without a script: inline in a page, as wide as it lets them be and in its colours, or together in a file of their own.

An axis of a cost starts at zero; one that starts elsewhere says so at its name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from stillhouse.comparison.table import Row

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 38
"""The margins around the plot."""
NEAR = 12
"""Pixels within which two points share a label."""
STYLE = """
:root { --line: #8886; --mark: #2b6cb0; --teacher: #b7791f }
svg text { font-size: 10px; fill: currentColor }
svg .axis { fill: none; stroke: currentColor } svg .grid { stroke: var(--line); stroke-width: .5 }
svg polyline { fill: none; stroke: var(--mark); stroke-width: 2 } svg circle { fill: var(--mark) }
svg .spread { stroke: var(--mark); stroke-width: 2 } svg .teacher .spread { stroke: var(--teacher) }
svg .teacher circle { fill: var(--teacher) }
svg .mark { font-weight: bold }
"""


@dataclass(frozen=True)
class Point:
    """A mark with its number in the table, and what it says when it is pointed at."""

    x: float
    y: float
    mark: str
    kind: str
    says: str
    spread: float = 0.0
    """The margin of x, to both sides."""
    others: tuple[float, ...] = ()
    """Values of y that other seeds gave."""


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def quality(rows: Sequence[Row]) -> list[str]:
    """Two charts of one teacher and its students: quality against multiply-accumulates, and against latency with its spread."""
    marked = [(str(number), row) for number, row in enumerate(rows, start=1)]
    metric = rows[0]["metric"] + ", bar: seeds" * any(map(_seeds, rows))
    costs = scatter([_by_macs(mark, row) for mark, row in marked], "million MACs per validation batch", metric)
    times = scatter([_by_latency(mark, row) for mark, row in marked], "latency, ms per test batch (median ± spread)", metric)
    return [costs, times]


def _by_macs(mark: str, row: Row) -> Point:
    cost = row["macs"] / 1e6
    says = f"{row['name']}: {row['quality']:.4g}, {cost:.4g} MMACs{_of_seeds(row)}"
    return Point(cost, row["quality"], mark, row["kind"], says, others=_seeds(row))


def _by_latency(mark: str, row: Row) -> Point:
    time, spread = row["latency_ms"], row["latency_spread_ms"]
    says = f"{row['name']}: {row['quality']:.4g}, {time:.4g} ± {spread:.2g} ms{_of_seeds(row)}"
    return Point(time, row["quality"], mark, row["kind"], says, spread, _seeds(row))


def _seeds(row: Row) -> tuple[float, ...]:
    return tuple(row.get("seeds", {}).values())


def _of_seeds(row: Row) -> str:
    values = _seeds(row)
    return f"; {len(values)} seeds: {min(values):.4g} to {max(values):.4g}" if values else ""


def picture(rows: Sequence[Row]) -> str:
    """The charts of all teachers as an SVG file, a line per teacher, with the names that the marks stand for."""
    parts, top = [], 0
    for teacher in dict.fromkeys(row["teacher"] for row in rows):
        mine = [row for row in rows if row["teacher"] == teacher]
        legend = ", ".join(f"{number} {row['name']}" for number, row in enumerate(mine, start=1))
        parts.append(f'<text x="{LEFT}" y="{top + 16}">{escape(legend)}</text>')
        for index, chart in enumerate(quality(mine)):
            place = f'<svg x="{index * WIDTH}" y="{top + 20}" width="{WIDTH}" height="{HEIGHT}" '
            parts.append(chart.replace("<svg ", place, 1))
        top += HEIGHT + 30
    size = f'width="{2 * WIDTH}" height="{max(top, 1)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif"><style>{STYLE}</style>'
    return "\n".join(
        ['<?xml version="1.0" encoding="utf-8"?>', head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""]
    )


def scatter(points: Sequence[Point], across: str, up: str) -> str:
    """Points with their marks and spreads; where some would cover each other, one label beside them has the marks of all."""
    ends = [point.x + sign * point.spread for point in points for sign in (-1, 1)]
    x = _Scale(*_cost_bounds(ends), LEFT, WIDTH - RIGHT)
    y = _Scale(*_bounds([value for point in points for value in (point.y, *point.others)]), HEIGHT - BOTTOM, TOP)
    dots = [_dot(point, x, y) for point in points]
    labels = [_label(x(together[0].x), y(together[0].y), together) for together in _heaps(points, x, y)]
    return _frame([*_axes(x, y, across, up), *dots, *labels], f"{up} against {across}")


def _dot(point: Point, x: _Scale, y: _Scale) -> str:
    height = f"{y(point.y):.1f}"
    bar = f'<path class="spread" d="M{x(point.x - point.spread):.1f},{height}H{x(point.x + point.spread):.1f}"/>' if point.spread else ""
    if point.others:
        low, high = y(min(point.y, *point.others)), y(max(point.y, *point.others))
        bar += f'<path class="spread" d="M{x(point.x):.1f},{low:.1f}V{high:.1f}"/>'
    circle = f'<circle cx="{x(point.x):.1f}" cy="{height}" r="5"/>'
    return f'<g class="{escape(point.kind)}"><title>{escape(point.says)}</title>{bar}{circle}</g>'


def _heaps(points: Sequence[Point], x: _Scale, y: _Scale) -> list[list[Point]]:
    """Points in heaps: each lies within a label's height of the first of its heap."""
    heaps: list[list[Point]] = []
    for point in points:
        near = (heap for heap in heaps if math.dist((x(point.x), y(point.y)), (x(heap[0].x), y(heap[0].y))) < NEAR)
        heap = next(near, None)
        if heap is None:
            heaps.append([point])
        else:
            heap.append(point)
    return heaps


def _label(x: float, y: float, points: Sequence[Point]) -> str:
    """The marks beside a place and above its spread, on the side where there is more room."""
    left = x > (LEFT + WIDTH - RIGHT) / 2
    side = f'x="{x - 5:.1f}" text-anchor="end"' if left else f'x="{x + 5:.1f}" text-anchor="start"'
    return f'<text class="mark" {side} y="{y - 5:.1f}">{escape(", ".join(point.mark for point in points))}</text>'


def line(across: Sequence[float], up: Sequence[float], name: str) -> str:
    """One line over epochs, which are counted from zero."""
    x = _Scale(*_cost_bounds(across), LEFT, WIDTH - RIGHT)
    y = _Scale(*_bounds(up), HEIGHT - BOTTOM, TOP)
    places = " ".join(f"{x(first):.1f},{y(second):.1f}" for first, second in zip(across, up, strict=True))
    return _frame([*_axes(x, y, "epoch", name), f'<polyline points="{places}"/>'], f"{name} by epoch")


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _cost_bounds(values: Sequence[float]) -> tuple[float, float]:
    """From zero, so that half the cost is half the way; lower only where a spread reaches below it."""
    low, high = min(0.0, *values), max(values)
    return low, high + (0.12 * (high - low) or 1.0)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values need, but not below zero where no value is; equal ones stand in the middle."""
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(low - room, 0.0) if low >= 0 else low - room), high + room


def _axes(x: _Scale, y: _Scale, across: str, up: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT},{TOP}V{bottom}H{right}"/>']
    for value in ticks(x.low, x.high):
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 14}" text-anchor="middle">{value:.6g}</text>')
    for value in ticks(y.low, y.high):
        parts.append(f'<path class="grid" d="M{LEFT},{y(value):.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 3:.1f}" text-anchor="end">{value:.6g}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    middle = f"{(TOP + bottom) / 2:.0f}"
    parts.append(f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(_named(up, y))}</text>')
    return parts


def _named(name: str, axis: _Scale) -> str:
    """The name of an axis, with where it starts if that is not zero."""
    return name if axis.low == 0 else f"{name} (from {axis.low:.3g})"


def _frame(parts: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
