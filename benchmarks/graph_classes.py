"""Classes of whole graphs by published folds: a graph network, smaller ones found by search, and a student that sees no edge.

A tenth of the graphs that are not tested on chooses the epochs. Settings are the same for all sets and were not tuned; epochs are few, to
end within the hour, and more for ENZYMES, which has 600 graphs of six classes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks import _students
from benchmarks._cells import Cell, Row, gains, measure
from benchmarks._graph_sets import raw
from stillhouse.contracts.data import Metrics
from stillhouse.training import machine
from stillhouse.training.score import EVALUATION_SEED
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.sample import read

name = "graph_classes"
expected_seconds = 3000
needs_data = True
_LOGITS = [{"loss": "logits", "weight": 1.0}]


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 5e-3, "weight_decay": 5e-4}


settings: dict[str, Any] = {
    "ridge": 1.0,
    "sets": {"MUTAG": 30, "ENZYMES": 200, "NCI1": 30},
    "folds": 10,
    "model": {"family": "gin", "hidden": 32, "layers": 4, "dropout": 0.2},
    "students": ["dms 1/2", "dms 1/4", "mlp", "mlp taught"],
}
"""`sets` are the epochs of each."""


def students(epochs: int) -> dict[str, _students.Block]:
    """The blocks of each student."""
    known = {
        "dms 1/2": _smaller(0.5, epochs),
        "dms 1/4": _smaller(0.25, epochs),
        "mlp": _edgeless([], epochs),
        "mlp taught": _edgeless(_LOGITS, epochs),
    }
    return {name: known[name] for name in settings["students"]}


def _smaller(share: float, epochs: int) -> _students.Block:
    search = {"method": "dms", "budget": {"unit": "macs", "share": share}}
    return {
        "search": search | {"settings": {"fit": _fit(epochs // 2), "structure_learning_rate": 1e-2}},
        "distill": {"losses": _LOGITS, "task_weight": 1.0, "fit": _fit(epochs)},
    }


def _edgeless(losses: list[_students.Block], epochs: int) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    return {
        "search": search | {"model": {"family": "mlp", "hidden": 64, "layers": 3}},
        "distill": {"losses": losses, "task_weight": 1.0, "start": "fresh", "fit": _fit(epochs)},
    }


def run(data: Path) -> list[Row]:
    """`data` holds graph-molecules/graphs.parquet; a seed is a fold."""
    rows, folds = [], settings["folds"]
    for title, epochs in settings["sets"].items():
        blocks = students(epochs)
        teach = {"model": settings["model"], "data": {"batch_size": 32}, "fit": _fit(epochs)}
        folder = partial(raw, data / "graph-molecules" / "graphs.parquet", title)
        entry = _students.Set(title, folder, {}, teach)
        counted = [Cell(title, "counts", fold, {"ridge": settings["ridge"]}) for fold in range(folds)]
        rows += measure(counted, lambda cell, folder=folder: {cell.set: _counts(folder(cell.seed), cell)})
        rows += _students.run(WORKLOAD, [entry], blocks, range(folds))
        named = {"teacher": {}, **blocks}
        cells = [_students.cell(entry, name, fold, block) for name, block in named.items() for fold in range(folds)]
        rows += gains(cells, "teacher", "accuracy")
    return rows


def _counts(raw: Path, cell: Cell) -> Metrics:
    """A ridge regression of classes on how many nodes of each kind a graph has: a control without a network."""
    prepared = cell.folder / "prepared"
    prepared.mkdir(parents=True, exist_ok=True)
    WORKLOAD.prepare(WORKLOAD.prepare_settings(), raw, prepared, machine.seed(EVALUATION_SEED))
    graphs, split = read(prepared)
    batch = graphs.batch(torch.arange(len(split)))
    width = batch.x.shape[1]
    counts = torch.zeros(len(split), width + 1, dtype=torch.float64).index_add(0, batch.batch, functional.pad(batch.x.double(), (0, 1)))
    counts[:, -1] = 1
    known, wanted = counts[split == 0], functional.one_hot(batch.target[split == 0]).double()
    weights = torch.linalg.solve(known.T @ known + cell.settings["ridge"] * torch.eye(width + 1), known.T @ wanted)
    found = (counts[split == 2] @ weights).argmax(1)
    return {"accuracy": float((found == batch.target[split == 2]).double().mean())}
