"""Students of time-then-graph at a third of its MACs: searched, shrunk alike, drawn at random, and trained alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _students, _temporal_graph
from benchmarks._cells import ROOT
from benchmarks._floors import FORECASTS
from benchmarks._temporal_methods import RECURRENT
from stillhouse.workloads.graphs.temporal import WORKLOAD

name = "temporal_students"
expected_seconds = 1800
needs_data = True
_BUDGET = {"unit": "macs", "share": 1 / 3}
_SEARCH_FIT = {"epochs": 20, "learning_rate": 5e-3, "clip_norm": 1.0}
_FIT = {"epochs": 60, "learning_rate": 5e-3, "weight_decay": 1e-5, "schedule": "cosine", "clip_norm": 1.0}
_TAUGHT = {
    "losses": [
        {"loss": "regression", "weight": 1.0, "settings": {"absolute": True}},
        {"loss": "pearson", "weight": 0.01, "settings": {"pairs": ["head"]}},
    ],
    "fit": _FIT,
}
_DMS = {"method": "dms", "budget": _BUDGET, "settings": {"fit": _SEARCH_FIT, "structure_learning_rate": 1e-2}}
_RANDOM = {"method": "random", "budget": _BUDGET, "settings": {"draws": 4, "fit": _SEARCH_FIT, "band": 0.05}}
_UNIFORM = {"method": "uniform", "budget": _BUDGET}
settings: dict[str, Any] = {
    "seeds": [42, 43, 44, 45, 46],
    "model": RECURRENT | {"width": 32, "join": "residual", "layers": 3},
    "data": {"batch_size": 4, "evaluation_batch_size": 54, "absolute": True},
    "fit": _FIT,
    "sets": {
        "england-chronological": {"prepare": {"window": 7}, "anchor": "mean"},
        "us-income": {"prepare": {"window": 10, "log": True, "read": {"rows": "nodes", "columns": "[0-9]+"}}, "anchor": "last"},
    },
    "students": {
        "dms": {
            "search": {"method": "dms", "budget": _BUDGET, "settings": {"fit": _SEARCH_FIT, "structure_learning_rate": 1e-2}},
            "distill": _TAUGHT,
        },
        "uniform": {"search": _UNIFORM, "distill": _TAUGHT},
        "random": {
            "search": {"method": "random", "budget": _BUDGET, "settings": {"draws": 4, "fit": _SEARCH_FIT, "band": 0.05}},
            "distill": _TAUGHT,
        },
        "plain": {"search": _UNIFORM | {"weights": "scratch"}, "distill": {"losses": [], "start": "fresh", "fit": _FIT}},
    },
}


def run(data: Path) -> list[_students.Row]:
    """`data` holds temporal_pygt/england_covid.json.gz; the incomes come with a dependency."""
    raw = {"england-chronological": data / "temporal_pygt" / "england_covid.json.gz", "us-income": ROOT / "data" / "raw" / "us-income.json"}
    sets = [_students.Set(name, raw[name], entry["prepare"], _teach(entry["anchor"])) for name, entry in settings["sets"].items()]
    floors = [_temporal_graph.Set(entry.name, entry.raw, entry.prepare, settings["data"], settings["fit"], FORECASTS) for entry in sets]
    return _students.run(WORKLOAD, sets, settings["students"], settings["seeds"]) + _temporal_graph.run(floors, {}, settings["seeds"])


def _teach(anchor: str) -> _students.Block:
    return {"model": {**settings["model"], "anchor": anchor}, "data": settings["data"], "fit": settings["fit"]}
