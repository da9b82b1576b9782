"""Forecasts with the defaults of each family, on three sets on which the defaults were chosen and on others that had no part in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _series, _temporal_graph
from benchmarks._cells import ROOT, WORK
from benchmarks._floors import FORECASTS
from benchmarks._temporal_methods import PUBLISHED

name = "series"
expected_seconds = 1600
needs_data = True
_TABLES = {"series": "series.csv", "edges": "edges.csv"}
_GENERATED = {
    "epidemic": {"window": 12, "horizon": 3},
    "level": {"window": 12},
    "growth": {"window": 14},
    "half-wrong": {"window": 8},
}
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "generator_seed": 7,
    "chosen_on": ["epidemic", "chickenpox", "england"],
    "sets": {
        "chickenpox": {"raw": "temporal_pygt/chickenpox.json.gz", "prepare": {"window": 12, "horizon": 3}},
        "england": {"raw": "temporal_pygt/england_covid.json.gz", "prepare": {"window": 7}},
        "pedalme": {"raw": "temporal_pygt/pedalme_london.json.gz", "prepare": {"window": 4}},
        "us-income": {"raw": None, "prepare": {"window": 10, "read": {"rows": "nodes", "columns": "[0-9]+"}}},
    },
    "data": {"batch_size": 16, "evaluation_batch_size": 64, "absolute": True},
    "fit": {"epochs": 60, "weight_decay": 1e-5, "schedule": "cosine", "clip_norm": 1.0},
    "parameters": "as many as time_then_graph of width 16 has, by width",
    "methods": {
        "time_then_graph": {"family": "time_then_graph"},
        "no_edges": {"family": "time_then_graph", "layers": 0, "join": "none"},
        "gru_gcn": PUBLISHED,
        "gcrn": {"family": "gcrn"},
        "gcrn_relu": {"family": "gcrn", "activation": "relu"},
        "dcrnn": {"family": "dcrnn"},
        "dcrnn_relu": {"family": "dcrnn", "activation": "relu"},
    },
}
_CHANGING = {"england"}
"""Sets whose edges come and go, for which networks have more parameters."""


def run(data: Path) -> list[_temporal_graph.Row]:
    """`data` holds the folder temporal_pygt; the incomes come with a dependency, the others are generated."""
    sets = [_set(title, _raw(entry["raw"], data), entry["prepare"]) for title, entry in settings["sets"].items()]
    for title, prepare in _GENERATED.items():
        folder = _series.write(_series.SERIES[title](settings["generator_seed"]), WORK / f"series-{title}-{settings['generator_seed']}")
        sets.append(_set(title, folder, {**prepare, "read": _TABLES}))
    return [row for entry in sets for row in _temporal_graph.run([entry], _methods(entry), settings["seeds"])]


def _methods(entry: _temporal_graph.Set) -> dict[str, Any]:
    """At equal parameters on that set."""
    methods = settings["methods"]
    sizes = {"channels": 1, "outputs": 1, "classes": 0, "steps": entry.prepare["window"], "static": int(entry.name not in _CHANGING)}
    return _temporal_graph.of_equal_size(methods, sizes, _temporal_graph.count(methods["time_then_graph"], sizes))


def _raw(path: str | None, data: Path) -> Path:
    return ROOT / "data/raw/us-income.json" if path is None else data / path


def _set(title: str, raw: Path, prepare: dict[str, Any]) -> _temporal_graph.Set:
    return _temporal_graph.Set(title, raw, prepare, settings["data"], settings["fit"], FORECASTS)
