"""True triples among all nodes and all relations of a graph, beside 50 drawn ones, on NELL-995 v1 and the family trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import _knowledge_graph, _methods, family_diagram
from benchmarks._cells import ROOT
from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.parts import Pair
from stillhouse.contracts.settings import Settings
from stillhouse.evaluations.full_ranking import EVALUATION
from stillhouse.training.score import first_batch
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch

name = "full_ranking"
expected_seconds = 700
needs_data = True
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "nell995-v1": {
        "prepare": {"train": "nell_v1", "test": "nell_v1_ind"},
        "methods": {"isdea": _methods.isdea(), "isdea_plus": _methods.isdea_plus()},
    },
    "fd2": {"prepare": {}, "methods": {"isdea": family_diagram.settings["methods"]["isdea"]}},
}


def run(data: Path) -> list[_knowledge_graph.Row]:
    """`data` holds kg_grail/nell995_v1-4.zip; the trees are generated."""
    raws = {"nell995-v1": data / "kg_grail" / "nell995_v1-4.zip", "fd2": ROOT / "data" / "raw" / "family-diagram.json"}
    rows = []
    for title, raw in raws.items():
        block = settings[title]
        entry = _knowledge_graph.Set(f"{title}, all", raw, block["prepare"], lists=("clean",))
        rows += _knowledge_graph.run([entry], block["methods"], settings["seeds"], more=_among_all)
    return rows


def _among_all(model: nn.Module, data: Data[Batch]) -> Metrics:
    """What the evaluation says of one model."""
    assert data.test is not None
    device = next(model.parameters()).device
    pair = Pair(WORKLOAD, model, model, data.test, first_batch(data.valid, device), device, data.train, data.valid)
    found = EVALUATION.run(pair, Settings(), torch.Generator())
    return {key.removeprefix("teacher_"): value for key, value in found.items() if not key.startswith("student_")}
