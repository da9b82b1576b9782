"""Charts as inline SVG: as wide as the page lets them be, in its colours, without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 38
"""The margins around the plot."""
NEAR = 12
"""Pixels within which two points share a label."""


@dataclass(frozen=True)
class Point:
    """A mark with its number in the table, and what it says when it is pointed at."""

    x: float
    y: float
    mark: str
    kind: str
    says: str


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def scatter(points: Sequence[Point], across: str, up: str) -> str:
    """Points with their marks; where some would cover each other, one label beside them has the marks of all."""
    x, y = _scales([point.x for point in points], [point.y for point in points])
    dots = [
        f'<g class="{escape(point.kind)}"><title>{escape(point.says)}</title>'
        f'<circle cx="{x(point.x):.1f}" cy="{y(point.y):.1f}" r="5"/></g>'
        for point in points
    ]
    labels = [_label(x(together[0].x), y(together[0].y), together) for together in _heaps(points, x, y)]
    return _frame([*_axes(x, y, across, up), *dots, *labels], f"{up} against {across}")


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
    """The marks beside a place, on the side where there is more room."""
    left = x > (LEFT + WIDTH - RIGHT) / 2
    side = f'x="{x - 9:.1f}" text-anchor="end"' if left else f'x="{x + 9:.1f}" text-anchor="start"'
    return f'<text class="mark" {side} y="{y + 3.5:.1f}">{escape(", ".join(point.mark for point in points))}</text>'


def line(across: Sequence[float], up: Sequence[float], name: str) -> str:
    """One line."""
    x, y = _scales(across, up)
    places = " ".join(f"{x(first):.1f},{y(second):.1f}" for first, second in zip(across, up, strict=True))
    return _frame([*_axes(x, y, "epoch", name), f'<polyline points="{places}"/>'], f"{name} by epoch")


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _scales(across: Sequence[float], up: Sequence[float]) -> tuple[_Scale, _Scale]:
    return _Scale(*_bounds(across), LEFT, WIDTH - RIGHT), _Scale(*_bounds(up), HEIGHT - BOTTOM, TOP)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values need; equal ones stand in the middle."""
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


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
    parts.append(f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(up)}</text>')
    return parts


def _frame(parts: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
