"""Graph networks for classes of nodes, tuned on validation as published ones were: each candidate on one split, the best one on several.

The whole graph is seen in training, as in the study whose figures stand beside these (arXiv 2406.08993); candidates lie in its box of
settings. Epochs are fewer than its 200 to 2000, and training stops early, so that all of it ends within the hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, measure, row
from benchmarks._node_sets import Drawn, NodeSet
from benchmarks.static_graphs import SETS, chosen_by
from stillhouse.contracts.files import read_json

name = "node_teachers"
expected_seconds = 1800
needs_data = True
Candidate = tuple[int, int, float, float, str, bool]
"""Hidden width, layers, dropout, learning rate, norm, and whether maps lead past layers."""
_CORA: list[Candidate] = [
    (64, 2, 0.5, 0.01, "none", False),
    (64, 2, 0.7, 0.01, "none", False),
    (64, 3, 0.5, 0.01, "none", False),
    (64, 3, 0.7, 0.005, "none", False),
    (256, 2, 0.5, 0.005, "none", False),
    (256, 2, 0.7, 0.005, "none", False),
    (256, 3, 0.7, 0.005, "none", False),
    (256, 3, 0.7, 0.001, "none", False),
    (256, 2, 0.7, 0.005, "none", True),
    (512, 2, 0.7, 0.001, "none", False),
    (512, 3, 0.7, 0.001, "none", False),
    (512, 3, 0.5, 0.001, "none", False),
]


def _set(metric: str, splits: int, decay: float, fit: _students.Block, candidates: list[Candidate]) -> _students.Block:
    return {"metric": metric, "splits": splits, "fit": {**fit, "weight_decay": decay}, "candidates": [list(each) for each in candidates]}


settings: dict[str, Any] = {
    "sets": {
        "cora, 20 a class": _set("accuracy", 5, 5e-4, {"epochs": 200, "patience": 50}, _CORA),
    },
}
RAWS: dict[str, NodeSet | Drawn] = {**SETS, "cora, 20 a class": Drawn(SETS["cora"], train=20, valid=500, test=1000)}


def run(data: Path) -> Iterator[Row]:
    """`data` holds graph-citation; a seed is a split, and candidates are tried on split 0."""
    for title, how in settings["sets"].items():
        tried = [_cell(data, title, candidate, 0) for candidate in how["candidates"]]
        _measured(data, title, tried)
        found = [read_json(cell.folder / "metrics.json")[title]["valid"] for cell in tried]
        yield from (row(title, cell.method, "tried", [value]) for cell, value in zip(tried, found, strict=True))
        best = how["candidates"][found.index(max(found))]
        yield from _measured(data, title, [_cell(data, title, best, split) for split in range(how["splits"])])


def _measured(data: Path, title: str, cells: list[Cell]) -> list[Row]:
    workload = chosen_by(settings["sets"][title]["metric"])
    return measure(cells, lambda cell: {title: _students.measured(workload, cell, _entry(data, title, cell.settings["teach"]))})


def _cell(data: Path, title: str, candidate: list[Any], split: int) -> Cell:
    hidden, layers, dropout, rate, norm, residual = candidate
    model = {"family": "gcn", "jumping": "last", "hidden": hidden, "layers": layers, "dropout": dropout, "norm": norm, "residual": residual}
    teach = {"model": model, "data": {}, "fit": {**settings["sets"][title]["fit"], "learning_rate": rate}}
    label = f"gcn, {layers} of {hidden}, dropout {dropout}, rate {rate}" + ", batch norm" * (norm == "batch") + ", residual" * residual
    return _students.cell(_entry(data, title, teach), label, split, {})


def _entry(data: Path, title: str, teach: _students.Block) -> _students.Set:
    return _students.Set(title, lambda split: RAWS[title].raw(data, split), {}, teach)
