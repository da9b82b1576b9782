"""Two models of a small knowledge graph, which score each triple by a table, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Pair
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, Task

NODES, RELATIONS = 9, 4
OBSERVED = torch.tensor([(0, 0, 1), (0, 0, 2), (1, 1, 3), (3, 2, 4), (4, 3, 5), (5, 0, 6), (0, 2, 6), (2, 3, 0)])
"""The last two nodes have no edge."""
TRUE: dict[Task, Tensor] = {
    "mixed": torch.tensor([(0, 0, 3)]),
    "node": torch.tensor([(0, 0, 3), (0, 0, 4), (5, 0 + RELATIONS, 3), (1, 1, 5)]),
    "relation": torch.tensor([(0, 1, 3), (0, 3, 3), (4, 0, 5)]),
}
VALID = torch.tensor([(0, 0, 5), (1, 1, 6)])


class Table(nn.Module):
    """A score for each triple, some of them equal."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.score = nn.Parameter(torch.randint(4, (NODES, 2 * RELATIONS, NODES), generator=rng).float())
        self.asked: list[Tensor] = []

    def forward(self, batch: Batch) -> Output:
        head, relation, tail = batch.triples.unbind(-1)
        self.asked.append(batch.triples)
        return Output(self.score[head, relation, tail], "candidates")


def lists(graph: Graph, triples: Tensor, task: Task, negatives: int) -> Batch:
    """The false ones do not matter, only how many there are."""
    return Batch(graph, triples[:, None].repeat(1, 1 + negatives, 1), task)


def pair(*, negatives: int = 3, same: bool = True) -> Pair:
    """`same`: whether validation asks about the graph of the test."""
    graph = Graph(*OBSERVED.T.contiguous(), NODES, RELATIONS)
    known = graph if same else graph.keep(torch.arange(7))
    test = [lists(graph, part, task, negatives) for task, triples in TRUE.items() for part in triples.split(2)]
    valid = [lists(replace(known), VALID, "mixed", negatives)]
    splits = [Batches(lambda rng, each=each: iter(each), len(each)) for each in (test, valid)]
    return Pair(WORKLOAD, Table(0), Table(1), splits[0], test[0], torch.device("cpu"), splits[1], splits[1])
