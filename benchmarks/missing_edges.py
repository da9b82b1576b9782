"""Missing edges of two published graphs: a graph network, a smaller one found by search, and students that see no edge.

Which edges are held out is the same for all seeds, which draw weights and strangers. Settings are the same for both graphs and were not
tuned; epochs are few.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Row, gains
from benchmarks.static_graphs import SETS
from stillhouse.workloads.graphs.static_edges import WORKLOAD

name = "missing_edges"
expected_seconds = 900
needs_data = True
_LOGITS = [{"loss": "logits", "weight": 1.0}]


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 5e-3}


_FIT = _fit(20)


def _edgeless(losses: list[_students.Block], task_weight: float) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    return {
        "search": search | {"model": {"family": "mlp", "hidden": 64, "layers": 2, "dropout": 0.5}},
        "distill": {"losses": losses, "task_weight": task_weight, "start": "fresh", "fit": _FIT},
    }


settings: dict[str, Any] = {
    "sets": ["cora", "chameleon_filtered"],
    "seeds": 3,
    "teach": {
        "model": {"family": "gcn", "hidden": 64, "layers": 2, "dropout": 0.2},
        "data": {"batch_size": 2048},
        "fit": _FIT,
    },
    "students": {
        "mlp": _edgeless([], 1.0),
        "mlp taught": _edgeless(_LOGITS, 1.0),
        "dms 1/2": {
            "search": {
                "method": "dms",
                "budget": {"unit": "macs", "share": 0.5},
                "settings": {"fit": _fit(10), "structure_learning_rate": 1e-2},
            },
            "distill": {"losses": _LOGITS, "task_weight": 1.0, "fit": _FIT},
        },
    },
}


def run(data: Path) -> list[Row]:
    """`data` holds graph-citation and graph-heterophilous; classes of nodes are left out."""
    seeds, blocks = range(settings["seeds"]), {"teacher": {}, **settings["students"]}
    rows = []
    for title in settings["sets"]:
        entry = _students.Set(title, partial(_raw, data, title), {}, settings["teach"])
        rows += _students.run(WORKLOAD, [entry], settings["students"], seeds)
        cells = [_students.cell(entry, name, seed, block) for seed in seeds for name, block in blocks.items()]
        rows += gains(cells, "teacher", "roc_auc")
    return rows


def _raw(data: Path, title: str, seed: int) -> Path:
    return SETS[title].raw(data, 0)
