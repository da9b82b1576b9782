"""Which of the N x 2R states (node i as seen by relation k) must be computed, and the sparse sums between them.

All states start equal, so after t layers the state of (i, k) can differ from that of (i, k') only if an edge of k or of
k' ends within t - 1 hops of i. The pairs with such an edge are *touched* and get a row each; one further row per node, its
*rest* row, stands for all relations that have none. That is exact, and for 288 relations it leaves 1, 6 and 18 % of the
states after layers 1, 2 and 3 (DB2WD). Rows hold for every subgraph too, so they are built once per graph; a batch that
hides edges only changes the weights of the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from stillhouse.workloads.graphs._shared.sums import Sums
from stillhouse.workloads.graphs.knowledge.graph import Graph


@dataclass(frozen=True, eq=False)
class Level:
    """The rows of the state after some layers: the touched pairs in the order of `codes`, then the rest rows of all nodes.

    `codes` is node * 2R + relation, sorted; `share` (rows,) is how many states each row stands for.
    """

    codes: Tensor
    nodes: int
    relations: int
    node: Tensor
    share: Tensor
    spread: Sums
    """(nodes) -> (rows): each row gets the value of its node."""
    gather: Sums
    """(rows) -> (nodes): the sum over all relations, when weighted by `share`."""

    @staticmethod
    def of(codes: Tensor, nodes: int, relations: int) -> Level:
        """The rows for sorted codes, over 2R `relations`."""
        touched, every = codes // relations, torch.arange(nodes, device=codes.device)
        node, row = torch.cat((touched, every)), torch.arange(len(codes) + nodes, device=codes.device)
        rest = relations - torch.bincount(touched, minlength=nodes)
        spread = Sums.of(row, node, (len(row), nodes))
        gather = Sums.of(node, row, (nodes, len(row)), label=row)
        share = torch.cat((torch.ones_like(codes), rest)).double()
        return Level(codes, nodes, relations, node, share, spread, gather)

    @property
    def touched(self) -> int:
        """Number of touched pairs."""
        return len(self.codes)

    @property
    def others(self) -> int:
        """Number of relations beside each; at least 1, to divide by."""
        return max(self.relations - 1, 1)

    def rest(self, value: Tensor) -> Tensor:
        """(rows, width) -> (nodes, width): the rest rows."""
        return value[self.touched :]

    def excess(self, value: Tensor, rest: Tensor) -> Tensor:
        """(rows, width) and (nodes, width) -> (touched, width): how far a node's rest row is above its touched ones."""
        return self.spread(rest)[: self.touched] - value[: self.touched]

    def row_of(self, node: Tensor, relation: Tensor) -> Tensor:
        """The row of each (node, relation)."""
        return self.row_of_code(node * self.relations + relation)

    def row_of_code(self, codes: Tensor) -> Tensor:
        """The row of each code."""
        node = codes // self.relations
        if not self.touched:
            return node
        place = torch.searchsorted(self.codes, codes).clamp(max=self.touched - 1)
        return torch.where(self.codes[place] == codes, place, self.touched + node)


@dataclass(frozen=True, eq=False)
class Step:
    """The sums of one layer, from the rows of one level to those of the next.

    *Direct* pairs (i, k) are those with an edge of k into i; they are few, and rows of the next level.
    """

    before: Level
    after: Level
    lift: Sums
    """(before) -> (after): the row that holds the same state."""
    lift_direct: Sums
    """(before) -> (direct)"""
    own: Sums
    """(before) -> (direct): over the edges of the own relation; labels are triples."""
    own_nodes: Sums
    """(nodes) -> (direct): the same with a value of the source node."""
    place: Sums
    """(before + direct) -> (after): the direct row where there is one, else the lifted one."""
    other: Sums
    """(nodes + touched before + touched before + direct) -> (after): node, same pair, in-neighbours by any relation, direct row.

    Labels are 0 for a weight of one, 1 + pair for the number of parallel edges.
    """


@dataclass(frozen=True, eq=False)
class Joined:
    """The distinct (target, source) pairs of a graph."""

    target: Tensor
    source: Tensor
    nodes: int
    relations: int

    def from_touched(self, level: Level) -> tuple[Tensor, Tensor, Tensor]:
        """For each touched row of the level and each edge out of its node: the code it reaches, the row and the pair."""
        order = torch.argsort(self.source, stable=True)
        counts = torch.bincount(self.source, minlength=self.nodes)
        node = level.node[: level.touched]
        row = torch.repeat_interleave(torch.arange(level.touched, device=node.device), counts[node])
        first = (counts.cumsum(0) - counts)[node] - (counts[node].cumsum(0) - counts[node])
        pair = order[torch.arange(len(row), device=node.device) + first[row]]
        return self.target[pair] * self.relations + level.codes[row] % self.relations, row, pair


@dataclass(frozen=True, eq=False)
class Rows:
    """All levels and steps of a network of some depth on one graph."""

    steps: tuple[Step, ...]
    joined: Joined
    neighbours: Sums
    """(nodes) -> (nodes): in-neighbours by any relation; labels are joined pairs."""
    pair: Tensor
    """(2 triples): the joined pair of each edge of the augmented graph."""

    def pair_weights(self, triple_weights: Tensor) -> Tensor:
        """(triples) -> (pairs): the number of edges that join each pair, when a triple counts its weight."""
        weights = torch.cat((triple_weights, triple_weights))
        return weights.new_zeros(self.neighbours.entries).index_add(0, self.pair, weights)


@lru_cache(maxsize=8)
def rows_of(graph: Graph, layers: int) -> Rows:
    """The rows of a graph, for a network of so many layers."""
    source, relation, target = graph.augmented()
    pairs, pair = torch.unique(target * graph.nodes + source, return_inverse=True)
    joined = Joined(pairs // graph.nodes, pairs % graph.nodes, graph.nodes, 2 * graph.relations)
    edges = _Edges(source, relation, target, target * joined.relations + relation)
    steps, codes = [], torch.empty(0, dtype=torch.long, device=source.device)
    level = Level.of(codes, graph.nodes, joined.relations)
    for _ in range(layers):
        steps.append(_step(level, edges, joined))
        level = steps[-1].after
    neighbours = Sums.of(joined.target, joined.source, (graph.nodes, graph.nodes), torch.arange(len(pairs), device=pairs.device))
    return Rows(tuple(steps), joined, neighbours, pair)


@dataclass(frozen=True, eq=False)
class _Edges:
    source: Tensor
    relation: Tensor
    target: Tensor
    code: Tensor


def _step(before: Level, edges: _Edges, joined: Joined) -> Step:
    reached, touched, pair = joined.from_touched(before)
    direct, direct_of_edge = torch.unique(edges.code, return_inverse=True)
    after = Level.of(torch.unique(torch.cat((reached, before.codes, direct))), before.nodes, before.relations)
    lifted = torch.cat((before.row_of_code(after.codes), before.touched + torch.arange(before.nodes, device=pair.device)))
    row, old, new = torch.arange(len(lifted), device=pair.device), len(before.node), len(direct)
    direct_row, triple = after.row_of_code(direct), torch.arange(len(edges.code), device=pair.device) % (len(edges.code) // 2)
    placed = lifted.index_copy(0, direct_row, old + torch.arange(new, device=pair.device))
    return Step(
        before=before,
        after=after,
        lift=Sums.of(row, lifted, (len(row), old)),
        lift_direct=Sums.of(torch.arange(new, device=pair.device), lifted[direct_row], (new, old)),
        own=Sums.of(direct_of_edge, before.row_of(edges.source, edges.relation), (new, old), triple),
        own_nodes=Sums.of(direct_of_edge, edges.source, (new, before.nodes), triple),
        place=Sums.of(row, placed, (len(row), old + new)),
        other=_other(before, after, (after.row_of_code(reached), touched, pair), direct_row),
    )


def _other(before: Level, after: Level, reached: tuple[Tensor, Tensor, Tensor], direct: Tensor) -> Sums:
    """`Step.other`; `reached` are after row, touched row before and pair, `direct` the after rows of the direct pairs."""
    row, touched = torch.arange(len(after.node), device=direct.device), torch.arange(before.touched, device=direct.device)
    parts = (  # row, column within its table, width of the table, label
        (row, after.node, before.nodes, torch.zeros_like(row)),
        (after.row_of_code(before.codes), touched, before.touched, torch.zeros_like(touched)),
        (*reached[:2], before.touched, reached[2] + 1),
        (direct, torch.arange(len(direct), device=direct.device), len(direct), torch.zeros_like(direct)),
    )
    ends = list(accumulate(width for _, _, width, _ in parts))
    columns = [column + end - width for (_, column, width, _), end in zip(parts, ends, strict=True)]
    return Sums.of(torch.cat([part[0] for part in parts]), torch.cat(columns), (len(row), ends[-1]), torch.cat([part[3] for part in parts]))
