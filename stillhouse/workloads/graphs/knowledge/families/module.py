"""A scorer of triples of one's own: any network that is asked, as NBFNet is, by the edges that may be seen and lists of triples.

Given are `edge_index` (2, edges), int64, source and target, and `edge_type` (edges,), each edge with its inverse, of which the relation is
that of the edge plus R; `triples` (queries, candidates, 3), int64, head, relation and tail; the numbers of nodes and of relations, 2R.
Wanted are scores (queries, candidates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.contracts.ready import MakesReady
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, hide_pairs, hide_triples

if TYPE_CHECKING:
    from jaxtyping import Int

Hide = Literal["triples", "pairs"]
_NODES, _RELATIONS, _CANDIDATES = 7, 2, 3
"""Of the example, a ring with two queries."""


class RankerSettings(ModuleSettings):
    """`hide` says which edges a network may not see: those that the batch asks about, or all that join two nodes it asks about."""

    hide: Hide = "triples"


@dataclass(frozen=True, eq=False)
class Asked:
    """What a network is called with for a batch, in this order."""

    edge_index: Int[Tensor, "2 edges"]
    edge_type: Int[Tensor, " edges"]
    triples: Int[Tensor, "queries candidates 3"]
    nodes: int | torch.SymInt
    relations: int | torch.SymInt
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "edge_index": (1,),
        "edge_type": (0,),
        "triples": (0, 1),
        "nodes": (),
        "relations": (),
    }

    @staticmethod
    def of(batch: Batch, hide: Hide) -> Asked:
        """The edges without the answers, the triples, and two numbers."""
        visible = (hide_triples if hide == "triples" else hide_pairs)(batch.graph, batch.triples)
        source, relation, target = visible.augmented()
        return Asked(torch.stack((source, target)), relation, batch.triples, batch.graph.nodes, 2 * batch.graph.relations)

    @property
    def other(self) -> Asked:
        """A question of other lengths: a query, a candidate and two relations more, and an edge from a new node, which is asked about."""
        triples = torch.cat((self.triples, self.triples[:1]))
        triples = torch.cat((triples, triples[:, :1]), 1)
        edge = torch.stack((triples.new_tensor(self.nodes), triples[0, 0, 0]))
        triples[-1, -1, 2] = edge[0]
        edges, kinds = torch.cat((self.edge_index, edge[:, None]), 1), torch.cat((self.edge_type, self.edge_type.new_zeros(1)))
        return Asked(edges, kinds, triples, self.nodes + 1, self.relations + 2)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """One after the other."""
        return self.edge_index, self.edge_type, self.triples, self.nodes, self.relations


@dataclass(frozen=True)
class Unpacked(MakesReady):
    """A forward pre-hook: of a batch, made ready or not, what the network takes; all else as it is."""

    hide: Hide

    def __call__(self, network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Its arguments."""
        batch = self.ready(given[0]) if isinstance(given[0], Batch) else given[0]
        return batch.arguments if isinstance(batch, Asked) else given

    def ready(self, batch: Batch) -> Asked:
        """All that is found before any weight is used."""
        return Asked.of(batch, self.hide)


def module(settings: RankerSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For graphs of any size: those of the test have other nodes and relations."""
    place = torch.arange(_NODES)
    graph = Graph(place, place % _RELATIONS, place.roll(1), _NODES, _RELATIONS)
    rng = torch.Generator().manual_seed(0)
    columns = [torch.randint(most, (2, _CANDIDATES), generator=rng) for most in (_NODES, 2 * _RELATIONS, _NODES)]
    example = Asked.of(Batch(graph, torch.stack(columns, -1), "train"), "triples").arguments
    hook = AsOutput("candidates", settings.prediction)
    return foreign.module(settings, example, architecture, hook, (2, _CANDIDATES), Unpacked(settings.hide))


FAMILY = Family(RankerSettings, module)
