"""Small random graphs, and the ways to rename what is in them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph


def random_graph(rng: torch.Generator, nodes: int = 9, relations: int = 4, triples: int = 40) -> Graph:
    """Distinct random triples, self-loops among them."""
    code = torch.randperm(nodes * relations * nodes, generator=rng)[:triples]
    return Graph(code // (relations * nodes), code // nodes % relations, code % nodes, nodes, relations)


def graph_of(triples: list[tuple[int, int, int]], nodes: int, relations: int) -> Graph:
    """From triples (head, relation, tail)."""
    head, relation, tail = torch.tensor(triples, dtype=torch.long).reshape(-1, 3).unbind(-1)
    return Graph(head, relation, tail, nodes, relations)


def self_triples(graph: Graph) -> Tensor:
    """(2R * N, 1, 3): each node to itself by each relation, so that every state is asked for and next to nothing hidden."""
    relation, node = torch.cartesian_prod(torch.arange(2 * graph.relations), torch.arange(graph.nodes)).unbind(-1)
    return torch.stack((node, relation, node), -1)[:, None]


def some_triples(graph: Graph, rng: torch.Generator, queries: int = 3, candidates: int = 2) -> Tensor:
    """Random (queries, candidates, 3)."""
    sizes = (graph.nodes, 2 * graph.relations, graph.nodes)
    return torch.stack([torch.randint(size, (queries, candidates), generator=rng) for size in sizes], -1)


def unjoined_triples(graph: Graph, rng: torch.Generator, queries: int) -> Tensor:
    """Random (queries, 1, 3) whose nodes are joined by no edge."""
    joined = torch.zeros(graph.nodes, graph.nodes, dtype=torch.bool)
    joined[graph.head, graph.tail] = joined[graph.tail, graph.head] = True
    triples = some_triples(graph, rng, 50 * queries, 1)
    return triples[~joined[triples[..., 0], triples[..., 2]].flatten()][:queries]


@dataclass(frozen=True, eq=False)
class RelabelledGraph(Graph):
    """A graph whose 2R relations, inverses too, carry other numbers."""

    label: Tensor = field(default_factory=lambda: torch.empty(0))

    def augmented(self) -> tuple[Tensor, Tensor, Tensor]:
        """As a graph's, with the other numbers."""
        source, relation, target = super().augmented()
        return source, self.label[relation], target


class Renaming:
    """A permutation of the nodes and one of all 2R relations, inverses independently of the forward ones."""

    def __init__(self, graph: Graph, rng: torch.Generator) -> None:
        self.node = torch.randperm(graph.nodes, generator=rng)
        self.relation = torch.randperm(2 * graph.relations, generator=rng)
        self.order = torch.randperm(len(graph.head), generator=rng)

    def graph(self, graph: Graph) -> Graph:
        """The renamed graph, its triples in another order."""
        renamed = replace(graph, head=self.node[graph.head], tail=self.node[graph.tail]).keep(self.order)
        return RelabelledGraph(renamed.head, renamed.relation, renamed.tail, graph.nodes, graph.relations, label=self.relation)

    def triples(self, triples: Tensor) -> Tensor:
        """(..., 3)"""
        head, relation, tail = triples.unbind(-1)
        return torch.stack((self.node[head], self.relation[relation], self.node[tail]), -1)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Double precision, evaluation mode, and everything that is learned or tracked random, so that nothing is hidden by a start value."""
    rng = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=rng, dtype=torch.float64) * 0.5)
        for name, value in model.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(torch.randn(value.shape, generator=rng, dtype=torch.float64))
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=rng, dtype=torch.float64) + 0.5)
    return model


def scores(model: nn.Module, graph: Graph, triples: Tensor) -> Tensor:
    """(queries, candidates)"""
    with torch.no_grad():
        return model(Batch(graph, triples, "node")).prediction


def worst_difference(model: nn.Module, renamings: int = 20) -> float:
    """How far scores differ after renaming, over some random graphs, for states of all pairs and for random triples."""
    rng, worst = torch.Generator().manual_seed(1), 0.0
    for number in range(renamings):
        graph = random_graph(rng) if number % 2 else random_graph(rng, nodes=14, relations=3, triples=16)
        renaming = Renaming(graph, rng)
        for triples in (self_triples(graph), some_triples(graph, rng)):
            renamed = scores(model, renaming.graph(graph), renaming.triples(triples))
            worst = max(worst, (renamed - scores(model, graph, triples)).abs().max().item())
    return worst
