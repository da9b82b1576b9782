"""New nodes and new relations: the eight scenarios of PediaTypes, each trained on one graph and asked about another."""

from __future__ import annotations

from pathlib import Path

from benchmarks import _knowledge_graph, _methods

name = "pediatypes"
expected_seconds = 6 * 3600
needs_data = True
SCENARIOS = ("EN2FR", "FR2EN", "EN2DE", "DE2EN", "DB2WD", "WD2DB", "DB2YG", "YG2DB")
_SHORT = {"epochs": 4, "learning_rate": 2e-3, "schedule": "cosine", "clip_norm": 1.0}
_MARKED = _methods.isdea_marked(layers=3, beyond=3)
_ISDEA = _methods.isdea()
"""A step over hundreds of relations takes seconds, so it sees less than half of the targets once."""
settings = {
    "seeds": [42],
    "methods": {
        "isdea_plus": {**_methods.isdea_plus(), "fit": _SHORT},
        "isdea_marked": {**_MARKED, "data": {**_MARKED["data"], "batches": 100}, "fit": {**_MARKED["fit"], "epochs": 3}},
        "isdea": {**_ISDEA, "data": {**_ISDEA["data"], "batches": 40}, "fit": {**_SHORT, "epochs": 2}},
    },
}


def run(data: Path) -> list[_knowledge_graph.Row]:
    """`data` holds kg_isdea/pediatypes_15k_v2.zip."""
    raw = data / "kg_isdea" / "pediatypes_15k_v2.zip"
    graphs = [_knowledge_graph.Set(each.lower(), raw, {"train": f"{each}-15K-V2"}, lists=("clean",)) for each in SCENARIOS]
    return _knowledge_graph.run(graphs, settings["methods"], settings["seeds"])
