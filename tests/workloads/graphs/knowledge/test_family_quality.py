"""The rule of the family diagrams is learnt on two relations and holds for two others, unless relations have an identity."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from benchmarks.family_diagram import WithRelationEmbedding
from stillhouse.contracts.data import Metrics
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.score import score
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings
from stillhouse.workloads.graphs.knowledge.sample import DataSettings

RAW = Path(__file__).parents[4] / "data" / "raw" / "family-diagram.json"
FIT = FitSettings(epochs=60, learning_rate=5e-3, weight_decay=5e-4, clip_norm=1.0, schedule="cosine")


def trained(model: nn.Module, prepared: Path) -> Metrics:
    """Its test metrics."""
    data = WORKLOAD.load(DataSettings(evaluation_batch_size=4, test_tasks=("node", "relation")), prepared, test=True)
    rng = torch.Generator().manual_seed(0)
    for _ in fit(model, lambda batch: WORKLOAD.loss(WORKLOAD.apply(model, batch), batch), data.train, FIT, rng):
        pass
    assert data.test is not None
    return score(WORKLOAD, model, data.test)


def test_the_rule_carries_over_to_new_relations(tmp_path: Path) -> None:
    WORKLOAD.prepare(PrepareSettings(), RAW, tmp_path, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    metrics = trained(Isdea(IsdeaSettings(width=16, hops=2)), tmp_path)
    assert metrics["node_hits@1"] > 0.9
    assert metrics["relation_hits@1"] > 0.9
    control = trained(WithRelationEmbedding(16), tmp_path)
    assert control["relation_hits@1"] < 0.35  # chance, of four relations
    assert control["node_hits@1"] < 0.8
