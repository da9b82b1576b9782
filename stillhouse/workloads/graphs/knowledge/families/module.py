"""A scorer of triples of one's own: any network that is asked, as NBFNet is, by the edges that may be seen and lists of triples.

Given are `edge_index` (2, edges), int64, source and target, and `edge_type` (edges,), each edge with its inverse, of which the relation is
that of the edge plus R; `triples` (queries, candidates, 3), int64, head, relation and tail; the numbers of nodes and of relations, 2R.
Wanted are scores (queries, candidates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, hide_pairs, hide_triples

Hide = Literal["triples", "pairs"]
_NODES, _RELATIONS, _CANDIDATES = 7, 2, 3
"""Of the example, a ring with two queries."""


class RankerSettings(ModuleSettings):
    """`hide` says which edges a network may not see: those that the batch asks about, or all that join two nodes it asks about."""

    hide: Hide = "triples"


@dataclass(frozen=True)
class Unpacked:
    """A forward pre-hook: of a batch what the network takes; all else as it is."""

    hide: Hide

    def __call__(self, network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """The edges without the answers, the triples, and two numbers."""
        batch = given[0]
        return arguments(batch, self.hide) if isinstance(batch, Batch) else given


def arguments(batch: Batch, hide: Hide) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    """What a network is called with for a batch."""
    visible = (hide_triples if hide == "triples" else hide_pairs)(batch.graph, batch.triples)
    source, relation, target = visible.augmented()
    return torch.stack((source, target)), relation, batch.triples, batch.graph.nodes, 2 * batch.graph.relations


def module(settings: RankerSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For graphs of any size: those of the test have other nodes and relations."""
    place = torch.arange(_NODES)
    graph = Graph(place, place % _RELATIONS, place.roll(1), _NODES, _RELATIONS)
    rng = torch.Generator().manual_seed(0)
    columns = [torch.randint(most, (2, _CANDIDATES), generator=rng) for most in (_NODES, 2 * _RELATIONS, _NODES)]
    example = arguments(Batch(graph, torch.stack(columns, -1), "train"), "triples")
    hook = AsOutput("candidates", settings.prediction)
    return foreign.module(settings, example, architecture, hook, (2, _CANDIDATES), Unpacked(settings.hide))


FAMILY = Family(RankerSettings, module)
