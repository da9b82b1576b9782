"""Students of few labels: measured over seeds, and how far each is above the best control of its share of the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, gains, intervals, measure
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Workload

Block = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """A student, or by an empty block a teacher: where its teacher comes from, its block, and the task."""

    entry: _students.Set
    block: Block
    workload: Workload[Any]


def measured(methods: Callable[[int], Mapping[str, Method]], seeds: Iterable[int]) -> tuple[list[Cell], list[Row]]:
    """The cells and rows of the methods of each seed."""
    found = {
        (title, seed): (_students.cell(method.entry, title, seed, method.block), method)
        for seed in seeds
        for title, method in methods(seed).items()
    }

    def one(cell: Cell) -> dict[str, Metrics]:
        _, method = found[cell.method, cell.seed]
        return {cell.set: _students.measured(method.workload, cell, method.entry)}

    cells = [cell for cell, _ in found.values()]
    return cells, measure(cells, one)


def ahead(cells: Iterable[Cell], rows: Iterable[Row], share: str, controls: Sequence[str], metric: str) -> list[Row]:
    """Gains over the control with the highest mean, chosen with the test in view, in its own favour; and their intervals."""
    means = {entry["method"]: entry["mean"] for entry in rows if entry["metric"] == metric}
    control = max((f"{title}@{share}" for title in controls if f"{title}@{share}" in means), key=means.__getitem__)
    found = gains([cell for cell in cells if cell.method.endswith(f"@{share}")], control, metric)
    return found + intervals(found)
