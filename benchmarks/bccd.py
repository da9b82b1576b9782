"""Blood cells: a small RetinaNet taught by the pyramid of an FCOS detector or of a larger RetinaNet, and trained alone.

The weight of each loss is the one with the best mean score on the validation split over all seeds, for each teacher by itself.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, measure
from benchmarks._choices import chosen, named
from stillhouse.contracts.data import Metrics
from stillhouse.workloads.pictures.detect import WORKLOAD

name = "bccd"
expected_seconds = 5400
needs_data = True
Block = dict[str, Any]
_LEVELS = {"lowest": 2, "highest": 4}
_ANCHORS = {"sizes": [1.9, 2.7, 3.8], "ratios": [0.8, 1.25]}
_BODY = {"backbone": {"width": 32, "blocks": [1, 1, 1]}, "pyramid": {"width": 32, **_LEVELS}, "head": {"width": 32, "layers": 1}}
_PAIRS = ["p2", "p3", "p4"]
_FIT = {"learning_rate": 3e-3, "weight_decay": 1e-4, "optimizer": "adamw", "schedule": "cosine", "clip_norm": 1.0}
settings: dict[str, Any] = {
    "seeds": [0, 1, 2],
    "prepare": {"size": [96, 128]},
    "data": {"batch_size": 8, "evaluation_batch_size": 8, "flip": True, "zoom": 1.25},
    "teachers": {
        "fcos": {"family": "fcos", **_BODY, "points": {"reach": 4}},
        "retinanet": {"family": "retinanet", **_BODY, "anchors": _ANCHORS},
    },
    "teach": _FIT | {"epochs": 60},
    "student": {"family": "retinanet", **_BODY, "backbone": {"width": 8, "blocks": [1, 1, 1]}, "anchors": _ANCHORS},
    "distill": _FIT | {"epochs": 16},
    "losses": {
        "pearson": {"loss": "pearson", "settings": {"pairs": _PAIRS}},
        "channel": {"loss": "channel", "settings": {"pairs": _PAIRS, "temperature": 1.0}},
        "squared": {"loss": "squared", "settings": {"pairs": _PAIRS}},
    },
    "weights": {"pearson": [0.3, 1.0, 3.0, 10.0], "channel": [0.1, 0.3, 1.0], "squared": [0.005, 0.02, 0.1]},
    "curve": [1, 2, 3, 4, 6, 8, 10, 12, 14, 16],
}


def run(data: Path) -> list[Row]:
    """`data` holds bccd-320/bccd-320.parquet. Beside the test split: `valid_map_<epoch>`, the validation score on the way."""
    losses = {f"{teacher}->retinanet+{loss}": weights for teacher in settings["teachers"] for loss, weights in settings["weights"].items()}
    rows = measured(data, [cell for seed in settings["seeds"] for cell in cells(seed, losses)])
    found = [row for method, weights in losses.items() for row in chosen(rows, method, weights)]
    alone = [row for row in rows if "+" not in row["method"]]
    return alone + found + [row for row in rows if "+" in row["method"] and row["metric"] in ("map", "valid")]


def measured(data: Path, cells: list[Cell]) -> list[Row]:
    """Rows for all seeds of some cells."""
    raw = data / "bccd-320" / "bccd-320.parquet"
    sets = {
        teacher: _students.Set("bccd-320", raw, settings["prepare"], teaching(model)) for teacher, model in settings["teachers"].items()
    }
    return measure(cells, lambda cell: {cell.set: _metrics(cell, sets[cell.method.partition("->")[0]])})


def cells(seed: int, losses: Mapping[str, Sequence[float]]) -> list[Cell]:
    """A seed's teachers and their students, `losses` being methods with the weights to be tried.

    Alone, the student is the same for both, and stands with the teacher of its family.
    """
    methods: dict[str, Block] = {teacher: {} for teacher in settings["teachers"]} | {"retinanet->alone": student([])}
    for method, weights in losses.items():
        loss = settings["losses"][method.rpartition("+")[2]]
        methods |= {named(method, weight): student([loss | {"weight": weight}]) for weight in weights}
    return [
        Cell("bccd-320", method, seed, {"prepare": settings["prepare"], "teach": teaching(_model(method)), "student": block})
        for method, block in methods.items()
    ]


def _model(method: str) -> Block:
    model: Block = settings["teachers"][method.partition("->")[0]]
    return model


def teaching(model: Block) -> Block:
    """How a teacher of that shape learns."""
    return {"model": model, "data": settings["data"], "fit": settings["teach"]}


def student(losses: list[Block]) -> Block:
    """The whole of the small network, from fresh weights: the teachers' own cost more."""
    search = {"method": "uniform", "model": settings["student"], "weights": "scratch", "budget": {"unit": "macs", "share": 1.0}}
    return {"search": search, "distill": {"losses": losses, "start": "fresh", "fit": settings["distill"]}}


def _metrics(cell: Cell, entry: _students.Set) -> Metrics:
    metrics = _students.measured(WORKLOAD, cell, entry)
    curve = cell.folder / "student" / "curve.csv"
    if not curve.exists():
        return metrics
    with curve.open(newline="") as file:
        way = {int(row["epoch"]): float(row["valid_map"]) for row in csv.DictReader(file)}
    return metrics | {f"valid_map_{epoch}": way[epoch] for epoch in settings["curve"]}
