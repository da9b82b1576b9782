"""Graph networks by the protocol of a published study (arXiv 2406.08993): its settings and its splits, and splits that it did not draw.

The study's figure of Cora is of one split, several times trained on; the same settings on other splits tell what that split does to it.
A small network on several splits, and a ridge regression on S^2 x on a hundred, say how hard each is at a fraction of the cost.
Nothing is chosen but the epoch, on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import APPNP

from benchmarks import _students
from benchmarks._cells import Cell, Row, measure, row
from benchmarks._node_sets import NodeSet, drawn_by_class
from benchmarks.static_graphs import SETS, chosen_by
from stillhouse.workloads.graphs._shared.nodes import arcs
from stillhouse.workloads.graphs._shared.one_graph.read import read

name = "published_teachers"
expected_seconds = 7200
needs_data = True
THEIRS = 123
"""What seeds the study's split of Cora."""


def _teach(sizes: tuple[int, int], dropout: float, rate: float, decay: float, epochs: int, **more: Any) -> _students.Block:
    model = {"family": "gcn", "jumping": "last", "hidden": sizes[1], "layers": sizes[0], "dropout": dropout} | more
    return {"model": model, "data": {}, "fit": {"epochs": epochs, "learning_rate": rate, "weight_decay": decay}}


settings: dict[str, Any] = {
    "ridge_splits": 100,
    "networks": {
        "cora, 3 of 512": _teach((3, 512), 0.7, 1e-3, 5e-4, 500),
        "cora, 3 of 64": _teach((3, 64), 0.7, 5e-3, 5e-4, 200),
        "chameleon_filtered, 5 of 512": _teach((5, 512), 0.2, 5e-3, 1e-3, 200),
        "minesweeper, 12 of 64": _teach((12, 64), 0.2, 1e-2, 0.0, 2000, norm="batch", residual=True),
        "minesweeper, 15 of 64": _teach((15, 64), 0.2, 1e-2, 0.0, 2000, norm="batch", residual=True, family="sage"),
    },
    "measured": [
        ["cora, 3 of 512", "theirs", 5],
        ["cora, 3 of 64", "theirs", 5],
        ["cora, 3 of 64", "drawn", 10],
        ["cora, 3 of 64", "public", 5],
        ["cora, 3 of 512", "drawn", 3],
        ["chameleon_filtered, 5 of 512", "given", 10],
        ["minesweeper, 12 of 64", "given", 3],
        ["minesweeper, 15 of 64", "given", 3],
        ["cora, 3 of 512", "public", 3],
    ],
}
_METRICS = {"minesweeper": "roc_auc"}
"""Graph -> what chooses the epoch, where it is not the accuracy."""


@dataclass(frozen=True)
class Case:
    """A graph, and where its splits are from."""

    title: str
    splits: str

    def raw(self, data: Path, seed: int) -> Path:
        """The folder of raw data of a seed: that of training, or of the split."""
        graph = SETS[self.title]
        ways: dict[str, Callable[[], Path]] = {
            "given": lambda: graph.raw(data, seed),
            "public": lambda: graph.public(data),
            "theirs": lambda: _drawn(graph, data, THEIRS),
            "drawn": lambda: _drawn(graph, data, seed),
        }
        return ways[self.splits]()


_LABELS = {"given": "its splits", "public": "the public split", "theirs": "the study's split", "drawn": "other splits"}


def _drawn(graph: NodeSet, data: Path, seed: int) -> Path:
    def places(rows: Any) -> list[int]:
        return drawn_by_class(rows.column("label").to_numpy(), 20, 500, 1000, seed)

    return graph.written(data, f"by-class-{seed}", places)


def run(data: Path) -> list[Row]:
    """`data` holds graph-citation and graph-heterophilous; seeds of networks are splits, or where there is one split, those of training.

    Seed after seed, so that what is interrupted has some of everything. `above` is the share of the hundred splits with a lower accuracy.
    """
    found = [pair for named, splits, count in settings["measured"] for pair in _cells(named, splits, count, data)]
    entries = {cell.folder: entry for cell, entry in found}

    def metrics(cell: Cell) -> dict[str, Any]:
        workload = chosen_by(_METRICS.get(cell.set, "accuracy"))
        return {cell.set: _students.measured(workload, cell, entries[cell.folder])}

    solved = ridges(data)
    rows = [row("cora", f"ridge, {_LABELS[splits]}", "accuracy", values) for splits, values in solved.items()]
    rows += [row("cora", f"ridge, {_LABELS[splits]}", "above", _above(values, solved["drawn"])) for splits, values in solved.items()]
    return rows + measure(sorted((cell for cell, _ in found), key=lambda cell: cell.seed), metrics)


def ridges(data: Path) -> dict[str, list[float]]:
    """Test accuracy of Cora of a ridge regression of classes on S^2 x, in closed form: where splits are from -> of each split."""
    counts = {"theirs": 1, "drawn": int(settings["ridge_splits"]), "public": 1}
    cases = {splits: Case("cora", splits) for splits in counts}
    smoothed: Tensor | None = None
    found: dict[str, list[float]] = {}
    for splits, count in counts.items():
        for seed in range(count):
            graph = read(cases[splits].raw(data, seed), 0)
            if smoothed is None:
                edges = torch.from_numpy(arcs(graph.source, graph.target, len(graph.features), undirected=True))
                smoothed = APPNP(2, 0.0)(torch.from_numpy(graph.features).double(), edges)
            found.setdefault(splits, []).append(_ridge(smoothed, torch.from_numpy(graph.label), torch.from_numpy(graph.split)))
    return found


def _above(values: list[float], others: list[float]) -> list[float]:
    """Of each value the share of the others that are below it."""
    return [fmean(other < value for other in others) for value in values]


def _ridge(smoothed: Tensor, label: Tensor, split: Tensor) -> float:
    """Solved by the few training nodes, not by the many features."""
    known, tested = smoothed[split == 0], split == 2
    weights = torch.linalg.solve(known @ known.T + torch.eye(len(known)), functional.one_hot(label[split == 0]).double())
    return float(((smoothed[tested] @ known.T @ weights).argmax(1) == label[tested]).double().mean())


def _cells(named: str, splits: str, count: int, data: Path) -> Iterator[tuple[Cell, _students.Set]]:
    title, _, network = named.partition(", ")
    case = Case(title, splits)
    entry = _students.Set(title, lambda seed: case.raw(data, seed), {}, settings["networks"][named], {"splits": splits})
    for seed in range(count):
        yield _students.cell(entry, f"{entry.teach['model']['family']}, {network}, {_LABELS[splits]}", seed, {}), entry
