"""Classes of whole graphs by published folds: a graph network, smaller ones found by search, and a student that sees no edge.

A tenth of the graphs that are not tested on chooses the epochs. Settings are the same for all sets and were not tuned; epochs are few, and
of ENZYMES three folds are measured, to end within the hour.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Row, gains
from benchmarks._graph_sets import raw
from stillhouse.workloads.graphs.static_graphs import WORKLOAD

name = "graph_classes"
expected_seconds = 1500
needs_data = True
_LOGITS = [{"loss": "logits", "weight": 1.0}]


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 5e-3, "weight_decay": 5e-4}


_FIT = _fit(30)


def _smaller(share: float) -> _students.Block:
    search = {"method": "dms", "budget": {"unit": "macs", "share": share}}
    return {
        "search": search | {"settings": {"fit": _fit(15), "structure_learning_rate": 1e-2}},
        "distill": {"losses": _LOGITS, "task_weight": 1.0, "fit": _FIT},
    }


def _edgeless(losses: list[_students.Block]) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    return {
        "search": search | {"model": {"family": "mlp", "hidden": 64, "layers": 3}},
        "distill": {"losses": losses, "task_weight": 1.0, "start": "fresh", "fit": _FIT},
    }


settings: dict[str, Any] = {
    "folds": {"MUTAG": 10, "ENZYMES": 3},
    "teach": {"model": {"family": "gin", "hidden": 32, "layers": 4, "dropout": 0.2}, "data": {"batch_size": 32}, "fit": _FIT},
    "students": {"dms 1/2": _smaller(0.5), "dms 1/4": _smaller(0.25), "mlp": _edgeless([]), "mlp taught": _edgeless(_LOGITS)},
}


def run(data: Path) -> list[Row]:
    """`data` holds graph-molecules/graphs.parquet; a seed is a fold."""
    rows, blocks = [], {"teacher": {}, **settings["students"]}
    for title, folds in settings["folds"].items():
        entry = _students.Set(title, partial(raw, data / "graph-molecules" / "graphs.parquet", title), {}, settings["teach"])
        rows += _students.run(WORKLOAD, [entry], settings["students"], range(folds))
        cells = [_students.cell(entry, name, fold, block) for name, block in blocks.items() for fold in range(folds)]
        rows += gains(cells, "teacher", "accuracy")
    return rows
