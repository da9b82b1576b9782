"""Daily cases of 129 English regions with the mobility between them, in the published splits and in a chronological one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _temporal_graph
from benchmarks._floors import FORECASTS
from benchmarks._temporal_methods import ALL, RECURRENT

name = "england"
expected_seconds = 3000
needs_data = True
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "window": 7,
    "splits": ["transductive", "interleaved", "chronological"],
    "data": {"batch_size": 4, "evaluation_batch_size": 54, "absolute": True},
    "fit": {"epochs": 60, "weight_decay": 1e-5, "schedule": "cosine", "clip_norm": 1.0},
    "rates": list(_temporal_graph.RATES),
    "parameters": "as many as time_then_graph with a GRU of width 16 has, by width",
    "methods": ALL,
}
SIZES = {"channels": 1, "outputs": 1, "classes": 0, "steps": 7, "static": 0}


def run(data: Path) -> list[_temporal_graph.Row]:
    """`data` holds temporal_pygt/england_covid.json.gz. Test nodes of the transductive split have no past targets to fit."""
    raw = data / "temporal_pygt" / "england_covid.json.gz"
    sets = []
    for split in settings["splits"]:
        floors = {name: floor for name, floor in FORECASTS.items() if split != "transductive" or name != "linear"}
        prepare = {"window": settings["window"], "split": split}
        sets.append(_temporal_graph.Set(f"england-{split}", raw, prepare, settings["data"], settings["fit"], floors))
    methods = _temporal_graph.of_equal_size(ALL, SIZES, _temporal_graph.count(RECURRENT, SIZES))
    return _temporal_graph.run(sets, methods, settings["seeds"])
