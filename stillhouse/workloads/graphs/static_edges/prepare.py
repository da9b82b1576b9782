"""A raw graph into its nodes, the edges that are seen, and held-out ones with strangers to compare each with."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.graphs._shared.nodes import arcs
from stillhouse.workloads.graphs._shared.one_graph.read import read
from stillhouse.workloads.graphs.static_edges.strangers import Strangers


class PrepareSettings(Settings):
    """Which edges are held out, by the seed; each edge holds both ways."""

    valid: float = Field(0.05, gt=0, lt=1)
    """The share of the edges that choose the epoch."""
    test: float = Field(0.1, gt=0, lt=1)
    """That of those that are tested on."""
    strangers: int = Field(50, gt=0, le=1000)
    """So many nodes, drawn among those that no edge of the whole graph joins to an edge's first node, are scored beside its second."""

    @model_validator(mode="after")
    def _shares(self) -> PrepareSettings:
        if self.valid + self.test >= 1:
            raise ValueError(f"wanted shares of valid and test that leave some for training - got {self.valid:g} and {self.test:g}")
        return self


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with nodes.parquet, edges.parquet (those of training, a row each way), held.parquet and facts.json.

    Returns how many nodes there are and how many edges, by splits. Raises UserError if too few edges, or too many, are there.
    """
    graph = read(raw, 0)
    nodes = len(graph.features)
    both = torch.from_numpy(arcs(graph.source, graph.target, nodes, undirected=True))
    pairs = both[:, both[0] < both[1]]
    valid, test, train = _dealt(settings, pairs[:, torch.randperm(pairs.shape[1], generator=rng)], raw)
    held = _either_way(torch.cat((valid, test), 1), rng)
    strangers = Strangers.of(both, nodes)
    if len(lonely := (strangers.count == 0).nonzero()):
        raise UserError(f"{raw}, node {int(lonely[0])} - wanted nodes that no edge joins to it - there is none")
    chance = torch.rand(held.shape[1], settings.strangers, generator=rng, dtype=torch.float64)
    split = torch.arange(held.shape[1]) >= valid.shape[1]
    seen = torch.from_numpy(arcs(train[0].numpy(), train[1].numpy(), nodes, undirected=True))
    write_parquet(prepared / "nodes.parquet", {"features": graph.features})
    write_parquet(prepared / "edges.parquet", {"source": seen[0], "target": seen[1]})
    columns = {"source": held[0], "target": held[1], "tested": split.to(torch.int8), "strangers": strangers.drawn(held[0], chance)}
    write_parquet(prepared / "held.parquet", columns)
    write_json(prepared / "facts.json", {"features": graph.features.shape[1]})
    counts = {"train_edges": train.shape[1], "valid_edges": valid.shape[1], "test_edges": test.shape[1]}
    return {"nodes": float(nodes)} | {name: float(count) for name, count in counts.items()}


def _dealt(settings: PrepareSettings, pairs: Tensor, raw: Path) -> tuple[Tensor, ...]:
    count = pairs.shape[1]
    sizes = [max(1, round(share * count)) for share in (settings.valid, settings.test)]
    if count <= sum(sizes):
        raise UserError(f"{raw} - wanted edges for training, validation and the test - got {count}")
    return tuple(pairs.tensor_split([sizes[0], sum(sizes)], dim=1))


def _either_way(pairs: Tensor, rng: torch.Generator) -> Tensor:
    """Each pair from one of its ends, by chance: numbers of nodes may mean something."""
    turned = torch.rand(pairs.shape[1], generator=rng) < 0.5
    return torch.where(turned, pairs.flip(0), pairs)
