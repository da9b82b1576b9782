"""The benchmark of norms that know another graph: the statistics are taken anew, layer by layer, and the model keeps its own."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from benchmarks import shifted_norms
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.norm import SharedBatchNorm
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, load


def test_the_norms_are_given_statistics_of_the_test_graph_whatever_they_had(tmp_path: Path) -> None:
    (tmp_path / "diagram.json").write_text(json.dumps({"generator": "family_diagram_2", "depth": 3}))
    prepare(PrepareSettings(), tmp_path / "diagram.json", tmp_path / "prepared", torch.Generator().manual_seed(0))
    data = load(DataSettings(test_tasks=("node",), evaluation_batch_size=30), tmp_path / "prepared", test=True)
    torch.manual_seed(0)
    model = Isdea(IsdeaSettings(width=4, layers=2, hops=2))
    first = shifted_norms._with_own(model, data)
    norms = [module for module in model.modules() if isinstance(module, SharedBatchNorm)]
    for norm in norms:
        norm.running_mean.add_(50)
        norm.running_var.mul_(1e-4)
    kept = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    again = shifted_norms._with_own(model, data)
    assert first["own_node_mrr"] == again["own_node_mrr"]
    assert again["times_variance"] > 100
    for norm, (mean, variance) in zip(norms, kept, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert torch.equal(norm.running_var, variance)
