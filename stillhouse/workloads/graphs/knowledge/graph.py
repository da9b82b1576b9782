"""A knowledge graph as integer triples, the batch that a model meets, and the two rules by which a model hides the answer.

Nodes and relations are numbers; no name is kept, so no model can lean on one. A graph with R relations is seen by the
models with 2R of them: the inverse of (i, k, j) is (j, k + R, i), and all 2R are exchangeable (arXiv 2302.01313).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Task = Literal["train", "mixed", "node", "relation"]
_CELLS = 2**20
"""Pairs of nodes of the largest graph of which a table of all pairs is made: a megabyte."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Observed triples (head, relation, tail), three int64 vectors of equal length, over `nodes` and `relations`."""

    head: Tensor
    relation: Tensor
    tail: Tensor
    nodes: int
    relations: int

    def augmented(self) -> tuple[Tensor, Tensor, Tensor]:
        """Source, relation and target of all edges and their inverses: twice as many, over 2R relations."""
        source, target = torch.cat((self.head, self.tail)), torch.cat((self.tail, self.head))
        return source, torch.cat((self.relation, self.relation + self.relations)), target

    def keep(self, which: Tensor) -> Graph:
        """The same nodes and relations with only the triples of a boolean mask (or of an index)."""
        return replace(self, head=self.head[which], relation=self.relation[which], tail=self.tail[which])

    def to(self, device: torch.device | str) -> Graph:
        """The graph on a device: always the same object, so that what was computed for it can be kept."""
        return self if self.head.device == torch.device(device) else _moved(self, torch.device(device))


@lru_cache(maxsize=8)
def _moved(graph: Graph, device: torch.device) -> Graph:
    return Graph(graph.head.to(device), graph.relation.to(device), graph.tail.to(device), graph.nodes, graph.relations)


@dataclass(frozen=True, eq=False)
class Batch:
    """Queries about one observed graph.

    `triples` is (queries, candidates, 3), int64, with the true triple of each query in candidate 0; its relations are
    in 0..2R-1. The graph may hold the true triples: it is for the model to hide them.
    """

    graph: Graph
    triples: Tensor
    task: Task
    softmax: bool = False
    """Whether the loss is a cross-entropy over each query's candidates, and not a logistic loss of each candidate."""
    known: Tensor | None = None
    """(queries,), bool: whose answer may be trained on, where not all of them may."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The batch on a device."""
        known = None if self.known is None else self.known.to(device, non_blocking=non_blocking)
        return replace(self, graph=self.graph.to(device), triples=self.triples.to(device, non_blocking=non_blocking), known=known)


def hide_pairs(graph: Graph, triples: Tensor) -> Graph:
    """Drops every triple that joins a target pair, in either direction and by any relation; `triples` is (..., 3)."""
    return graph.keep(~joins_target(graph, triples))


def joins_target(graph: Graph, triples: Tensor) -> Tensor:
    """(triples of the graph), bool: which of them `hide_pairs` drops."""
    hidden = _pair_codes(triples[..., 0].flatten(), triples[..., 2].flatten(), graph.nodes)
    codes, cells = _pair_codes(graph.head, graph.tail, graph.nodes), graph.nodes**2
    if cells > _CELLS:
        return torch.isin(codes, hidden)
    # Fifteen times as fast as what sorts both, as each batch does it anew.
    return torch.zeros(cells, dtype=torch.bool, device=codes.device).index_fill_(0, hidden, True)[codes]


def hide_triples(graph: Graph, triples: Tensor) -> Graph:
    """Drops the target triples only, given directly or as their inverse copies; `triples` is (..., 3) over 2R relations."""
    head, relation, tail = triples.reshape(-1, 3).unbind(-1)
    inverse = relation >= graph.relations
    head, tail = torch.where(inverse, tail, head), torch.where(inverse, head, tail)
    hidden = triple_codes(head, relation % graph.relations, tail, graph)
    return graph.keep(~torch.isin(triple_codes(graph.head, graph.relation, graph.tail, graph), hidden))


def triple_codes(head: Tensor, relation: Tensor, tail: Tensor, graph: Graph) -> Tensor:
    """One int64 a triple, different for different triples of the graph with its 2R relations."""
    return (head * (2 * graph.relations) + relation) * graph.nodes + tail


def _pair_codes(source: Tensor, target: Tensor, nodes: int) -> Tensor:
    return torch.minimum(source, target) * nodes + torch.maximum(source, target)


def inverse(triples: Tensor, relations: int) -> Tensor:
    """(j, k + R, i) for each (i, k, j) of (..., 3), and back."""
    head, relation, tail = triples.unbind(-1)
    return torch.stack((tail, (relation + relations) % (2 * relations), head), -1)


def asked_pairs(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which nodes are asked about under which relations.

    The distinct codes node * 2R + relation of all heads and tails, sorted, and (triples, 2), the places of each triple's
    head and tail among them.
    """
    head, relation, tail = batch.triples.reshape(-1, 3).unbind(-1)
    relations = 2 * batch.graph.relations
    codes = torch.stack((head * relations + relation, tail * relations + relation), 1)
    return torch.unique(codes, return_inverse=True)
