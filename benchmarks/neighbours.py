"""Forecasts for which neighbours matter: road speeds an hour ahead, and a planted series that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _temporal_graph
from benchmarks._cells import WORK
from benchmarks._floors import FORECASTS
from benchmarks._temporal_methods import ALL, RECURRENT
from stillhouse.contracts.files import write_json

name = "neighbours"
expected_seconds = 3600
needs_data = True
_ROADS = {"series": "los_speed.csv.gz", "edges": "los_adj.csv.gz"}
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "generator": {"generator": "planted", "seed": 7},
    "anchor": "last",
    "sets": {
        "los-loop": {
            "prepare": {
                "window": 12,
                "horizon": 12,
                "scale": "standard",
                "read": {"series": "los_speed.csv.gz", "edges": "los_adj.csv.gz"},
            },
            "data": {"batch_size": 16, "evaluation_batch_size": 32, "absolute": True},
            "fit": {"epochs": 8, "schedule": "cosine", "clip_norm": 1.0},
            "static": 1,
        },
        "planted": {
            "prepare": {"window": 12, "scale": "standard", "edge_scale": "none"},
            "data": {"batch_size": 16, "evaluation_batch_size": 32},
            "fit": {"epochs": 20, "schedule": "cosine", "clip_norm": 1.0},
            "static": 0,
        },
    },
    "rates": list(_temporal_graph.RATES),
    "parameters": "as many as time_then_graph with a GRU of width 16 has, by width",
    "methods": ALL,
}


def run(data: Path) -> list[_temporal_graph.Row]:
    """`data` holds traffic/los_speed.csv.gz and traffic/los_adj.csv.gz."""
    planted = WORK / "planted.json"
    write_json(planted, settings["generator"])
    raw = {"los-loop": data / "traffic", "planted": planted}
    rows = []
    for title, entry in settings["sets"].items():
        group = _temporal_graph.Set(title, raw[title], entry["prepare"], entry["data"], entry["fit"], FORECASTS)
        sizes = {"channels": 1, "outputs": 1, "classes": 0, "steps": 12, "static": entry["static"]}
        methods = {method: {**model, "anchor": settings["anchor"]} for method, model in ALL.items()}
        reference = {**RECURRENT, "anchor": settings["anchor"]}
        methods = _temporal_graph.of_equal_size(methods, sizes, _temporal_graph.count(reference, sizes))
        rows += _temporal_graph.run([group], methods, settings["seeds"])
    return rows
