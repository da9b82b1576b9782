"""Where the marked model computes: the conditions that a batch asks for, and the nodes and edges that can matter to them.

A walk of at most L steps from the head to a candidate stays where the two distances add up to at most L. Outside of
that region states cannot change a score, so restricting the propagation to it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.workloads.graphs.knowledge.marked_index import Index, hops, shell_sizes, spread


@dataclass(frozen=True, eq=False)
class Conditions:
    """The distinct (head, relation, hidden triple) of a batch: one propagation each, which serves all candidate tails.

    head, relation (conditions,); `hidden` (conditions, 3) is the observed triple that may not be seen, or -1s;
    `origin` (conditions,) points into `distance` (origins, nodes), the hops from the head without the hidden triple.
    """

    head: Tensor
    relation: Tensor
    hidden: Tensor
    origin: Tensor
    distance: Tensor

    @staticmethod
    def of(index: Index, triples: Tensor, limit: int) -> tuple[Conditions, Tensor]:
        """The conditions of (queries, candidates, 3), and which of them each candidate belongs to (queries * candidates,).

        Hidden is the true triple of the query, in column 0. Queries whose true triple is not observed share conditions.
        """
        truth = triples[:, 0]
        shared = torch.full((1, 3), -1, device=triples.device)
        hidden = torch.cat((torch.where(index.holds(truth)[:, None], truth, shared), shared))
        rows = torch.arange(len(truth), device=triples.device)
        owner = torch.where(hidden[:-1, 0] >= 0, rows, len(truth))[:, None].expand(triples.shape[:2])
        codes, member = torch.unique((owner * index.nodes + triples[..., 0]) * index.types + triples[..., 1], return_inverse=True)
        origins, origin = torch.unique_consecutive(codes // index.types, return_inverse=True)
        head, hidden = origins % index.nodes, hidden[origins // index.nodes]
        distance = hops(index.arrivals, head, hidden, limit)
        return Conditions(head[origin], codes % index.types, hidden[origin], origin, distance), member.flatten()

    def hides(self, condition: Tensor, source: Tensor, relation: Tensor, target: Tensor, index: Index) -> Tensor:
        """Which edges are the hidden triple of their condition, or its inverse copy; all are (edges,)."""
        head, kind, tail = self.hidden[condition].unbind(-1)
        ahead = (source == head) & (relation == kind) & (target == tail)
        return ahead | ((source == tail) & (relation == index.inverse(kind)) & (target == head))

    def shells(self, index: Index, condition: Tensor, node: Tensor) -> Tensor:
        """How many nodes lie at each distance from a node (rows, limit), again without the hidden triple."""
        sizes, limit = index.shells[node], index.shells.shape[1]
        head, kind, tail = hidden = self.hidden[condition].unbind(-1)
        nearest = torch.minimum(index.distance[head, node], index.distance[tail, node])
        # The counts of the whole graph hold wherever the hidden edge is too far away to be walked.
        touched = ((kind >= 0) & (nearest < limit)).nonzero()[:, 0]
        codes, place = torch.unique(index.codes(*hidden)[touched] * index.nodes + node[touched], return_inverse=True)
        first = place.new_empty(len(codes)).scatter_(0, place, touched)
        found = hops(index.arrivals, node[first], self.hidden[condition[first]], limit)
        return sizes.index_copy(0, touched, shell_sizes(found, limit)[place])


@dataclass(frozen=True, eq=False)
class Region:
    """Nodes and edges of all conditions side by side; places are rows of the state.

    `hops` (places,) from the marked head; `start` and `end` (edges,) are places; `edge_condition`, `edge_relation`;
    `head` (conditions,) and `candidate` (candidates,) are the places of the marked heads and of the candidate tails.
    """

    hops: Tensor
    start: Tensor
    end: Tensor
    edge_condition: Tensor
    edge_relation: Tensor
    head: Tensor
    candidate: Tensor

    @staticmethod
    def of(index: Index, conditions: Conditions, member: Tensor, tail: Tensor, layers: int) -> Region:
        """`member` and `tail` (candidates,): the condition of each candidate, and the node."""
        inside = _inside(index, conditions, member, tail, layers)
        condition, node = inside.nonzero().unbind(1)
        place = inside.flatten().cumsum(0) - 1
        reached = conditions.distance[conditions.origin[condition], node]
        leaving = (reached < layers).nonzero()[:, 0]
        start, owner, edge, end = _edges(index, conditions, inside, leaving, condition, node)
        marks = torch.arange(len(conditions.head), device=tail.device) * index.nodes + conditions.head
        return Region(
            hops=reached,
            start=start,
            end=place[end],
            edge_condition=owner,
            edge_relation=index.relation[edge],
            head=place[marks],
            candidate=place[member * index.nodes + tail],
        )


def _edges(
    index: Index, conditions: Conditions, inside: Tensor, leaving: Tensor, condition: Tensor, node: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The edges from the places `leaving` to nodes `inside` that are not hidden: (edges,) each of their start, condition, edge and end."""
    owner, edge = spread(index.first, node[leaving])
    start = leaving[owner]
    owner = condition[start]
    end = owner * index.nodes + index.target[edge]
    hidden = conditions.hides(owner, index.source[edge], index.relation[edge], index.target[edge], index)
    kept = (inside.flatten()[end] & ~hidden).nonzero()[:, 0]
    return start[kept], owner[kept], edge[kept], end[kept]


def _inside(index: Index, conditions: Conditions, member: Tensor, tail: Tensor, layers: int) -> Tensor:
    """(conditions, nodes), bool: heads, candidates, and all that lies on a walk of at most `layers` steps between them."""
    inside = torch.zeros(len(conditions.head), index.nodes, dtype=torch.bool, device=tail.device)
    near = conditions.distance[conditions.origin[member]] + index.distance[tail] <= layers
    candidate, node = near.nonzero().unbind(1)
    inside[member[candidate], node] = True
    inside[member, tail] = True
    inside[torch.arange(len(inside), device=tail.device), conditions.head] = True
    return inside
