"""What the marked model takes from an observed graph: edges by source, hop distances and statistics of relations.

All of it is counted, so it moves with any renaming of nodes and relations (double equivariance, arXiv 2302.01313). The
2R relation types are exchangeable: only the pairing of a type with its inverse is kept, not which of the two came first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from stillhouse.workloads.graphs._shared.sums import row_starts
from stillhouse.workloads.graphs.knowledge.graph import Graph

INTERACTIONS = 4
"""Types meet head to head, head to tail, tail to head and tail to tail (ULTRA, arXiv 2310.04562, section 4.1)."""
STATISTICS = 22
COLUMNS = 512
"""Sources searched at a time, which bounds the memory of the all-pairs search."""


@dataclass(frozen=True, eq=False)
class Index:
    """One observed graph. Edges (inverse copies included, duplicates not) are sorted by source, relation and target.

    source, relation, target (edges,); `first` (nodes + 1,) points into them; `arrivals` is the sparse (nodes, nodes)
    count of edges target <- source; `distance` (nodes, nodes) in hops, uint8, `limit` + 1 for all that is farther.
    `shells` (nodes, limit) counts the nodes at each distance from 1 on.
    Incidences are the distinct (node, relation of a leaving edge): `incident_first` (nodes + 1,), `incident_relation`,
    `incident_count`. `interactions` (4, types, types) and `statistics` (types, types, 22) describe pairs of relations.
    """

    nodes: int
    types: int
    source: Tensor
    relation: Tensor
    target: Tensor
    first: Tensor
    arrivals: Tensor
    distance: Tensor
    shells: Tensor
    incident_first: Tensor
    incident_relation: Tensor
    incident_count: Tensor
    interactions: Tensor
    statistics: Tensor

    def codes(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """One int64 a triple."""
        return (head * self.types + relation) * self.nodes + tail

    def holds(self, triples: Tensor) -> Tensor:
        """(..., 3) -> (...): is the triple observed?"""
        return torch.isin(self.codes(*triples.unbind(-1)), self.codes(self.source, self.relation, self.target))

    def inverse(self, relation: Tensor) -> Tensor:
        """The paired type."""
        return (relation + self.types // 2) % self.types


@lru_cache(maxsize=8)
@torch.no_grad()
def index_of(graph: Graph, limit: int) -> Index:
    """The index of a graph, with distances up to `limit` hops."""
    nodes, types = graph.nodes, 2 * graph.relations
    head, relation, tail = graph.augmented()
    code = torch.unique((head * types + relation) * nodes + tail)
    source, relation, target = code // (types * nodes), code // nodes % types, code % nodes
    arrivals = _sparse(target, source, (nodes, nodes))
    distance = torch.cat([hops(arrivals, heads, None, limit) for heads in torch.arange(nodes, device=code.device).split(COLUMNS)])
    incident, count = torch.unique_consecutive(source * types + relation, return_counts=True)
    interactions, statistics = _relation_statistics(source, relation, target, nodes, types)
    return Index(
        nodes, types, source, relation, target, row_starts(source, nodes), arrivals, distance, shell_sizes(distance, limit),
        row_starts(incident // types, nodes), incident % types, count, interactions, statistics,
    )  # fmt: skip


def hops(arrivals: Tensor, heads: Tensor, hidden: Tensor | None, limit: int) -> Tensor:
    """Distances (columns, nodes) from each head, uint8, `limit` + 1 for all that is farther.

    `hidden` (columns, 3) is an observed triple that this column's search may not use in either direction, or -1s.
    """
    columns, nodes = torch.arange(len(heads), device=heads.device), arrivals.shape[0]
    front = torch.zeros(nodes, len(heads), device=heads.device)
    front[heads, columns] = 1
    found = torch.full(front.shape, limit + 1, dtype=torch.uint8, device=heads.device)
    found[heads, columns] = 0
    for step in range(1, limit + 1):
        arriving = torch.sparse.mm(arrivals, front)
        if hidden is not None:
            _take_back(arriving, front, hidden, columns)
        new = (arriving > 0.5) & (found > limit)
        if not new.any():
            break
        found[new] = step
        front = new.float()
    return found.T.contiguous()


def shell_sizes(distance: Tensor, limit: int) -> Tensor:
    """(rows, nodes) distances -> (rows, limit): how many nodes lie at each distance from 1 on."""
    return torch.stack([(distance == step).sum(1) for step in range(1, limit + 1)], 1)


def _take_back(arriving: Tensor, front: Tensor, hidden: Tensor, columns: Tensor) -> None:
    head, present, tail = hidden[:, 0], (hidden[:, 1] >= 0).float(), hidden[:, 2]
    arriving[tail, columns] -= front[head, columns] * present
    arriving[head, columns] -= front[tail, columns] * present


def spread(first: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """All entries of some rows of a compressed table: the position in `rows` that each belongs to, and its place in the table."""
    start, size = first[rows], first[rows + 1] - first[rows]
    owner = torch.arange(len(rows), device=rows.device).repeat_interleave(size)
    return owner, torch.arange(len(owner), device=rows.device) + (start - (size.cumsum(0) - size))[owner]


def _relation_statistics(source: Tensor, relation: Tensor, target: Tensor, nodes: int, types: int) -> tuple[Tensor, Tensor]:
    """Normalised interactions (4, types, types), and statistics (types, types, 22) of the pair (query relation, other)."""
    inverse = (torch.arange(types, device=source.device) + types // 2) % types
    touches = (_sparse(source, relation, (nodes, types)).to_dense() > 0).float()
    parallel = _parallel(source, relation, target, nodes, types)
    meet = touches.T @ touches
    meets = torch.stack([meet, meet[:, inverse], meet[inverse], meet[inverse][:, inverse]])
    heads = touches.sum(0).clamp(min=1)
    count = torch.bincount(relation, minlength=types).float().clamp(min=1)
    of_query = torch.stack([heads, heads, heads[inverse], heads[inverse]])[:, :, None]
    of_other = torch.stack([heads, heads[inverse], heads, heads[inverse]])[:, None]
    joined = torch.stack([parallel, parallel[:, inverse]])
    same = torch.eye(types, device=source.device)
    between = torch.cat([meets / of_query, meets / of_other, joined / count[:, None], joined / count, same[None], same[None, :, inverse]])
    symmetry = parallel[torch.arange(types, device=source.device), inverse] / count
    own = torch.stack([(count / count.sum()).log() / 3, (count / heads).log(), (count / heads[inverse]).log(), symmetry])
    alone = torch.cat([own[:, :, None].expand(-1, -1, types), own[:, None].expand(-1, types, -1)])
    return meets / meets.sum(-1, keepdim=True).clamp(min=1), torch.cat([between, alone]).permute(1, 2, 0).contiguous()


def _parallel(source: Tensor, relation: Tensor, target: Tensor, nodes: int, types: int) -> Tensor:
    """(types, types): how many ordered pairs of nodes are joined by both relations."""
    pairs, pair = torch.unique(source * nodes + target, return_inverse=True)
    sorted_pair, order = torch.sort(pair, stable=True)
    edge, other = spread(row_starts(sorted_pair, len(pairs)), pair)
    both = relation[edge] * types + relation[order][other]
    return torch.bincount(both, minlength=types * types).view(types, types).float()


def _sparse(row: Tensor, column: Tensor, shape: tuple[int, int]) -> Tensor:
    ones = torch.ones(len(row), device=row.device)
    return torch.sparse_coo_tensor(torch.stack([row, column]), ones, shape, check_invariants=False).coalesce()
