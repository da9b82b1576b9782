"""What the marked model is asked, as lists and counts: all that it computes with but its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from stillhouse.workloads.graphs.knowledge.marked_index import Index, spread
from stillhouse.workloads.graphs.knowledge.marked_region import Conditions, Region

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True, eq=False)
class Around:
    """Some nodes, each as seen by a condition: the edges that leave it, relation by relation, and how many nodes are how far.

    Of each entry the row that it belongs to, its vector (query relation * types + relation), and the number of edges.
    """

    owner: Int[Tensor, " entries"]
    label: Int[Tensor, " entries"]
    count: Int[Tensor, " entries"]
    shells: Int[Tensor, "rows limit"]

    @staticmethod
    def of(index: Index, conditions: Conditions, of: Tensor, condition: Tensor, node: Tensor) -> Around:
        """Of nodes (rows,) with their conditions (rows,); `of` (conditions,) are query relations. The hidden triple is not counted."""
        owner, entry = spread(index.incident_first, node)
        relation, asking = index.incident_relation[entry], condition[owner]
        head, hidden, tail = conditions.hidden[asking].unbind(-1)
        leaves = (node[owner] == head) & (relation == hidden)
        arrives = (node[owner] == tail) & (relation == index.inverse(hidden))
        count = index.incident_count[entry] - leaves.long() - arrives.long()
        return Around(owner, of[asking] * index.types + relation, count, conditions.shells(index, condition, node))


@dataclass(frozen=True, eq=False)
class Reached:
    """As `Region`, with the vector of each edge."""

    hops: Int[Tensor, " places"]
    start: Int[Tensor, " edges"]
    end: Int[Tensor, " edges"]
    label: Int[Tensor, " edges"]
    head: Int[Tensor, " conditions"]
    candidate: Int[Tensor, " candidates"]


@dataclass(frozen=True, eq=False)
class Marked:
    """One question about one graph."""

    statistics: Tensor
    """(queries, types, 22) of the distinct relations that are asked about."""
    interactions: Tensor
    """(4, types, types)"""
    of: Int[Tensor, " conditions"]
    """Of each condition its relation among those."""
    relation: Int[Tensor, " conditions"]
    """The relation itself."""
    member: Int[Tensor, "queries candidates"]
    """The condition of each candidate."""
    hops: Int[Tensor, " queries*candidates"]
    """From its head to its tail."""
    region: Reached
    heads: Around
    """Of the conditions."""
    tails: Around
    """Of the candidates."""
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {
        **{f"region_{name}": (0,) for name in ("hops", "start", "end", "label", "head", "candidate")},
        **{f"{end}_{name}": (0,) for end in ("heads", "tails") for name in ("owner", "label", "count", "shells")},
        **dict.fromkeys(("of", "relation", "hops"), (0,)),
        **{"statistics": (0, 1), "interactions": (1, 2), "member": (0, 1)},
    }

    @staticmethod
    def of_triples(index: Index, triples: Tensor, layers: int, farthest: int) -> Marked:
        """Of (queries, candidates, 3), for a network of so many layers that tells distances apart up to `farthest`."""
        conditions, member = Conditions.of(index, triples, farthest)
        (queries, of), tail = torch.unique(conditions.relation, return_inverse=True), triples[..., 2].flatten()
        region = Region.of(index, conditions, member, tail, layers)
        label = of[region.edge_condition] * index.types + region.edge_relation
        every = torch.arange(len(of), device=tail.device)
        return Marked(
            statistics=index.statistics[queries],
            interactions=index.interactions,
            of=of,
            relation=conditions.relation,
            member=member.view(triples.shape[:2]),
            hops=conditions.distance[conditions.origin[member], tail].long(),
            region=Reached(region.hops.long(), region.start, region.end, label, region.head, region.candidate),
            heads=Around.of(index, conditions, of, every, conditions.head),
            tails=Around.of(index, conditions, of, member, tail),
        )
