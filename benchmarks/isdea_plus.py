"""ISDEA+ beside its own published figures, on the four PediaTypes scenarios in which one seed of `pediatypes` fell short of them.

Passes and rate were chosen among three on validation, with a seed that is not measured here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _knowledge_graph, _methods

name = "isdea_plus"
expected_seconds = 2400
needs_data = True
_FIT = {"epochs": 12, "learning_rate": 2e-3, "schedule": "cosine", "clip_norm": 1.0}
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "scenarios": ["DB2YG", "YG2DB", "WD2DB", "EN2FR"],
    "methods": {"isdea_plus": {**_methods.isdea_plus(), "fit": _FIT}},
}


def run(data: Path) -> list[_knowledge_graph.Row]:
    """`data` holds kg_isdea/pediatypes_15k_v2.zip."""
    raw = data / "kg_isdea" / "pediatypes_15k_v2.zip"
    train = {each: {"train": f"{each}-15K-V2"} for each in settings["scenarios"]}
    graphs = [_knowledge_graph.Set(each.lower(), raw, names, lists=("clean",)) for each, names in train.items()]
    return _knowledge_graph.run(graphs, settings["methods"], settings["seeds"])
