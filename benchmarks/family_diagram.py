"""A rule learnt on two relations of a family tree and asked of others (FD-2), beside a control that knows relations by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from benchmarks import _knowledge_graph, _methods
from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.graph import Batch

name = "fd2"
expected_seconds = 900
_FIT = {"epochs": 60, "learning_rate": 5e-3, "weight_decay": 5e-4, "schedule": "cosine", "clip_norm": 1.0}
_DATA = {"evaluation_batch_size": 4}
_ISDEA = {"model": {"family": "isdea", "width": 16, "hops": 2}, "data": _DATA, "fit": _FIT}
_MARKED = _methods.isdea_marked(layers=3)
settings = {
    "seeds": [42, 43, 44, 45, 46],
    "prepare": {},
    "methods": {
        "isdea": _ISDEA,
        "isdea_plus": {**_ISDEA, "model": {"family": "isdea_plus", "width": 16}},
        # The targets are no part of the observed graph here, so that hiding one isolates nobody.
        "isdea_marked": {**_MARKED, "data": {**_MARKED["data"], "connected": False}, "fit": {**_MARKED["fit"], "epochs": 40}},
        "relation_embedding": _ISDEA,
    },
}


class WithRelationEmbedding(nn.Module):
    """A control that knows relations by name only: learned vectors, beside the states of a graph of a single relation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model, self.relation = Isdea(IsdeaSettings(width=width, hops=2)), torch.empty(0, dtype=torch.long)
        self.blueprint = self.model.blueprint
        self.embedding = nn.Embedding(8, width)
        self.model.score.register_forward_pre_hook(lambda module, inputs: (inputs[0] + self.embedding(self.relation), *inputs[1:]))

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        head, self.relation, tail = batch.triples.reshape(-1, 3).unbind(-1)
        graph = replace(batch.graph, relation=torch.zeros_like(batch.graph.relation), relations=1)
        triples = torch.stack((head, (self.relation >= batch.graph.relations).long(), tail), -1)
        return self.model(Batch(graph, triples.view_as(batch.triples), batch.task))


CONTROL = replace(WORKLOAD, model=lambda settings, sizes, architecture: WithRelationEmbedding(settings.width))


def run(data: Path | None) -> list[_knowledge_graph.Row]:
    """The trees are generated; no data folder is needed."""
    raw = Path(__file__).parents[1] / "data" / "raw" / "family-diagram.json"
    graph = _knowledge_graph.Set("fd2", raw, settings["prepare"], lists=("clean",))
    return _knowledge_graph.run([graph], settings["methods"], settings["seeds"], {"relation_embedding": CONTROL})
