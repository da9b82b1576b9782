"""Inductive completion of WN18RR v1: the three families, untrained ones and the reverse-edge rule, on both kinds of lists."""

from __future__ import annotations

from pathlib import Path

from benchmarks import _knowledge_graph, _methods

name = "wn18rr-v1"
expected_seconds = 3600
needs_data = True
settings = {
    "seeds": [42, 43, 44, 45, 46],
    "prepare": {"train": "WN18RR_v1", "test": "WN18RR_v1_ind"},
    "methods": {"isdea_marked": _methods.isdea_marked(), "isdea": _methods.isdea(), "isdea_plus": _methods.isdea_plus()},
}


def run(data: Path) -> list[_knowledge_graph.Row]:
    """`data` holds kg_grail/wn18rr_v1-4.zip."""
    graph = _knowledge_graph.Set("wn18rr-v1", data / "kg_grail" / "wn18rr_v1-4.zip", settings["prepare"])
    return _knowledge_graph.run([graph], settings["methods"], settings["seeds"])
