"""Lineage as an SVG picture: one box a thing, a column for each step away from it, written by hand so that nothing has to be installed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from stillhouse.lineage.walk import Tree

Thing = tuple[str, str]
WIDTH, HEIGHT, GAP_ACROSS, GAP_DOWN, MARGIN = 250, 52, 60, 16, 20
"""Size of a box, gaps between boxes and the margin around them, in pixels."""
STYLE = """
text { font: 12px sans-serif; fill: #222 } .small { font-size: 10px; fill: #666 }
rect { fill: #f4f6f8; stroke: #8795a1 } .asked { fill: #fff3c4 } .missing { fill: #fde8e8; stroke: #c53030; stroke-dasharray: 4 3 }
path { fill: none; stroke: #8795a1; stroke-width: 1.5 }
"""


def svg(tree: Tree, direction: str) -> str:
    """The picture; time runs from left to right, so that what was asked for stands right of its inputs, or left of its outputs."""
    boxes = {(each["path"], each["hash"]): each for each in _all(tree, direction)}
    columns = _columns(tree, direction)
    last = max(columns.values())
    if direction == "inputs":
        columns = {thing: last - column for thing, column in columns.items()}
    places = _places(columns)
    lines = {(start, end) for start, each in boxes.items() for end in ((inner["path"], inner["hash"]) for inner in each[direction])}
    parts = [_line(places[start], places[end]) for start, end in sorted(lines)]
    parts += [_box(each, places[thing], asked=each is tree) for thing, each in boxes.items()]
    width = 2 * MARGIN + (last + 1) * (WIDTH + GAP_ACROSS) - GAP_ACROSS
    height = MARGIN + max(y for _, y in places.values()) + HEIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _all(tree: Tree, direction: str) -> Iterator[Tree]:
    seen: set[Thing] = set()
    waiting = [tree]
    while waiting:
        each = waiting.pop(0)
        if (each["path"], each["hash"]) not in seen:
            seen.add((each["path"], each["hash"]))
            yield each
            waiting += each[direction]


def _columns(tree: Tree, direction: str) -> dict[Thing, int]:
    """The longest way from the root, so that every line leads to a later column."""
    columns: dict[Thing, int] = {}
    waiting = [(tree, 0)]
    while waiting:
        each, column = waiting.pop(0)
        thing = each["path"], each["hash"]
        if columns.get(thing, -1) < column:
            columns[thing] = column
            waiting += [(inner, column + 1) for inner in each[direction]]
    return columns


def _places(columns: dict[Thing, int]) -> dict[Thing, tuple[int, int]]:
    filled: dict[int, int] = {}
    places = {}
    for thing, column in columns.items():
        row = filled[column] = filled.get(column, -1) + 1
        places[thing] = (MARGIN + column * (WIDTH + GAP_ACROSS), MARGIN + row * (HEIGHT + GAP_DOWN))
    return places


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    (left, top), (right, bottom) = sorted([start, end])
    x, y, far, low = left + WIDTH, top + HEIGHT // 2, right, bottom + HEIGHT // 2
    middle = (x + far) // 2
    return f'<path d="M {x} {y} C {middle} {y}, {middle} {low}, {far} {low}"/>'


def _box(tree: Tree, place: tuple[int, int], *, asked: bool) -> str:
    x, y = place
    kind = "missing" if tree["missing"] else "asked" if asked else "thing"
    run = f"run {tree['run'][:8]}" if tree["run"] else ""
    commit = f"commit {tree['commit'][:8]}{'+' if tree['dirty'] else ''}" if tree["commit"] else ""
    whole = "\n".join(f"{name} {value}" for name, value in (tree["parameters"] or {}).items())
    lines = [(tree["path"], "", 16), (f"{tree['stage'] or ''} {tree['hash'][:8]}", "small", 31), (f"{run} {commit}", "small", 44)]
    words = [f'<text x="{x + 8}" y="{y + down}" class="{size}">{escape(text.strip())}</text>' for text, size, down in lines]
    title = escape("\n".join(filter(None, [tree["hash"], whole, tree["missing"]])))
    return f'<g><title>{title}</title><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" class="{kind}"/>{"".join(words)}</g>'
