"""Inductive completion of NELL-995 v1: the three families, untrained ones and the reverse-edge rule, on both kinds of lists."""

from __future__ import annotations

from pathlib import Path

from benchmarks import _knowledge_graph, _methods

name = "nell995-v1"
expected_seconds = 2400
needs_data = True
settings = {
    "seeds": [42, 43, 44, 45, 46],
    "prepare": {"train": "nell_v1", "test": "nell_v1_ind"},
    "methods": {"isdea_marked": _methods.isdea_marked(layers=3), "isdea": _methods.isdea(), "isdea_plus": _methods.isdea_plus()},
}


def run(data: Path) -> list[_knowledge_graph.Row]:
    """`data` holds kg_grail/nell995_v1-4.zip."""
    graph = _knowledge_graph.Set("nell995-v1", data / "kg_grail" / "nell995_v1-4.zip", settings["prepare"])
    return _knowledge_graph.run([graph], settings["methods"], settings["seeds"])
