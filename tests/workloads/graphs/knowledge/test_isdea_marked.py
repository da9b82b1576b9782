"""The marked model: double equivariance, what it hides, where it computes, and what a search may cut out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.cost import counts_of, evaluate, macs, parameters, total
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.knowledge.families.isdea_marked import IsdeaMarked, IsdeaMarkedSettings
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph
from stillhouse.workloads.graphs.knowledge.marked_index import hops, index_of
from stillhouse.workloads.graphs.knowledge.marked_question import Marked
from stillhouse.workloads.graphs.knowledge.marked_region import Conditions, Region

SETTINGS = IsdeaMarkedSettings(width=6, layers=3, beyond=2)


def random_graph(rng: torch.Generator, nodes: int = 9, relations: int = 4, triples: int = 40) -> Graph:
    """Distinct random triples."""
    code = torch.randperm(nodes * relations * nodes, generator=rng)[:triples]
    return Graph(code // (relations * nodes), code // nodes % relations, code % nodes, nodes, relations)


def sparse_graph(rng: torch.Generator) -> Graph:
    """A graph in which many pairs are farther apart than the layers reach."""
    return random_graph(rng, nodes=14, relations=3, triples=16)


def every_triple(graph: Graph) -> Tensor:
    """(N * 2R * N, 1, 3): each triple is the true one of its own query."""
    sizes = (graph.nodes, 2 * graph.relations, graph.nodes)
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes))[:, None]


def marked_model(seed: int = 0, settings: IsdeaMarkedSettings = SETTINGS) -> IsdeaMarked:
    """Random weights in double precision, evaluation mode; norms and biases too are random."""
    torch.manual_seed(seed)
    model = IsdeaMarked(settings).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return model


def scores(model: nn.Module, graph: Graph, triples: Tensor) -> Tensor:
    """(queries, candidates)"""
    with torch.no_grad():
        return model(Batch(graph, triples, "node")).prediction


class Renaming:
    """A permutation of nodes, one of relations, and a swap of some relations with their inverses."""

    def __init__(self, graph: Graph, rng: torch.Generator) -> None:
        self.node = torch.randperm(graph.nodes, generator=rng)
        order = torch.randperm(graph.relations, generator=rng)
        swap = torch.randint(2, (graph.relations,), generator=rng)
        self.relation = torch.cat([order + half * graph.relations for half in (swap, 1 - swap)])

    def triples(self, triples: Tensor) -> Tensor:
        """(..., 3) over 2R relations."""
        head, relation, tail = triples.unbind(-1)
        return torch.stack((self.node[head], self.relation[relation], self.node[tail]), -1)

    def graph(self, graph: Graph, rng: torch.Generator) -> Graph:
        """The renamed graph, its triples in another order."""
        head, relation, tail = self.triples(torch.stack((graph.head, graph.relation, graph.tail), -1)).unbind(-1)
        inverse = relation >= graph.relations
        head, tail = torch.where(inverse, tail, head), torch.where(inverse, head, tail)
        shuffled = torch.randperm(len(head), generator=rng)
        return replace(graph, head=head, relation=relation % graph.relations, tail=tail).keep(shuffled)


def worst_difference(model: nn.Module, renamings: int = 20) -> float:
    """Over all triples of a random graph and some renamings."""
    rng = torch.Generator().manual_seed(1)
    worst = 0.0
    for number in range(renamings):
        graph = (random_graph if number % 2 else sparse_graph)(rng)
        renaming, triples = Renaming(graph, rng), every_triple(graph)
        renamed = scores(model, renaming.graph(graph, rng), renaming.triples(triples))
        worst = max(worst, (renamed - scores(model, graph, triples)).abs().max().item())
    return worst


def test_scores_are_doubly_equivariant() -> None:
    assert worst_difference(marked_model()) < 1e-10


class WithRandomMark(nn.Module):
    """A control whose marks are random numbers of each node."""

    def __init__(self) -> None:
        super().__init__()
        self.model = marked_model()
        self.numbers = torch.randn(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        self.heads = torch.zeros(0, dtype=torch.long)
        self.model.mark.register_forward_hook(lambda module, inputs, output: output + self.numbers[self.heads])

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        index = index_of(batch.graph, SETTINGS.layers)
        self.heads = Conditions.of(index, batch.triples, self.model.farthest)[0].head
        return self.model(batch)


class WithRelationTable(nn.Module):
    """A control whose relation vectors hold a learned embedding of the relation."""

    def __init__(self) -> None:
        super().__init__()
        self.model = marked_model()
        self.numbers = torch.randn(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        self.model.relations.register_forward_hook(lambda module, inputs, output: output + self.numbers[: output.shape[1]])

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        return self.model(batch)


@pytest.mark.parametrize("control", [WithRelationTable, WithRandomMark])
def test_controls_with_identities_are_not_equivariant(control: type[nn.Module]) -> None:
    assert worst_difference(control(), renamings=2) > 1e-3


def test_parameters_do_not_depend_on_the_size_of_the_graph() -> None:
    rng, model = torch.Generator().manual_seed(3), marked_model()
    for nodes, relations in ((5, 2), (12, 7)):
        graph = random_graph(rng, nodes, relations, 20)
        assert torch.isfinite(scores(model, graph, every_triple(graph))).all()


@pytest.mark.parametrize(
    ("triples", "nodes", "relations"),
    [
        ([(0, 0, 1), (1, 0, 2)], 5, 1),
        ([(0, 0, 1), (1, 2, 2), (2, 2, 2)], 4, 4),
        ([], 3, 2),
    ],
    ids=["one relation and isolated nodes", "relations without edges and a loop", "no edges"],
)
def test_degenerate_graphs_give_finite_scores(triples: list[tuple[int, int, int]], nodes: int, relations: int) -> None:
    graph = Graph(*torch.tensor(triples, dtype=torch.long).reshape(-1, 3).T, nodes=nodes, relations=relations)
    assert torch.isfinite(scores(marked_model(), graph, every_triple(graph))).all()


def test_only_the_true_triple_and_its_inverse_are_hidden() -> None:
    # Nodes 0 and 1 are joined by relation 0 in both directions and by relation 1.
    graph = Graph(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 0]), torch.tensor([1, 0, 1, 2]), nodes=3, relations=2)
    index = index_of(graph, 2)
    conditions, member = Conditions.of(index, torch.tensor([[[0, 0, 1]]]), 4)
    region = Region.of(index, conditions, member, torch.tensor([1]), 2)
    seen = set(zip(region.start.tolist(), region.edge_relation.tolist(), region.end.tolist(), strict=True))
    # Relations 2 and 3 are the inverses of 0 and 1; node 2 lies on no walk of two steps from 0 to 1.
    assert seen == {(1, 0, 0), (0, 2, 1), (0, 1, 1), (1, 3, 0)}


def test_an_observed_true_triple_is_scored_as_if_it_were_absent() -> None:
    rng, model = torch.Generator().manual_seed(4), marked_model()
    for _ in range(5):
        graph = random_graph(rng, triples=25)
        truth = torch.stack((graph.head[:1], graph.relation[:1], graph.tail[:1]), -1)
        candidates = torch.cat((truth, torch.cartesian_prod(truth[0, :1], torch.arange(8), torch.arange(9))))[None]
        whole, without = index_of(graph, 3), index_of(graph.keep(torch.arange(25) > 0), 3)
        # The statistics of relations are the whole graph's by design, so they are made equal here.
        without = replace(without, interactions=whole.interactions, statistics=whole.statistics)
        one, other = (model.scores(Marked.of_triples(index, candidates, 3, model.farthest))[0] for index in (whole, without))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_a_score_depends_on_no_other_candidate() -> None:
    rng, model = torch.Generator().manual_seed(5), marked_model()
    graph = sparse_graph(rng)
    triples = every_triple(graph)[torch.randperm(14 * 6 * 14, generator=rng)[:60]]
    together = torch.cat([triples[:, 0], triples[:1, 0]])[None].repeat(2, 1, 1)
    alone = torch.stack([triples[0].expand(60, 3), triples[:, 0]], 1)
    torch.testing.assert_close(scores(model, graph, together)[0, :60], scores(model, graph, alone)[:, 1], rtol=0, atol=1e-10)


def test_nodes_without_edges_change_nothing() -> None:
    graph, model = sparse_graph(torch.Generator().manual_seed(10)), marked_model()
    triples = every_triple(graph)[:300]
    more = replace(graph, nodes=graph.nodes + 5)
    torch.testing.assert_close(scores(model, more, triples), scores(model, graph, triples), rtol=0, atol=1e-10)


def test_hops_are_shortest_paths_without_the_hidden_triple() -> None:
    rng = torch.Generator().manual_seed(6)
    for _ in range(30):
        graph = sparse_graph(rng)
        index, hidden = index_of(graph, 2), torch.stack((graph.head[:3], graph.relation[:3], graph.tail[:3]), -1)
        found = hops(index.arrivals, hidden[:, 0], hidden, 5)
        for row in range(3):
            rest = graph.keep(torch.arange(16) != row)
            joined = torch.zeros(14, 14, dtype=torch.bool)
            joined[rest.head, rest.tail] = joined[rest.tail, rest.head] = True
            assert found[row].tolist() == _hops_by_powers(joined, int(hidden[row, 0]), 5)


def _hops_by_powers(joined: Tensor, head: int, limit: int) -> list[int]:
    walks = joined | torch.eye(len(joined), dtype=torch.bool)
    reached, hops = torch.zeros(len(joined), dtype=torch.bool), torch.full((len(joined),), limit + 1)
    reached[head] = True
    hops[head] = 0
    for step in range(1, limit + 1):
        reached = (walks[reached]).any(0)
        hops[reached & (hops > limit)] = step
    return hops.tolist()


def some_architecture(model: nn.Module) -> Architecture:
    """Every other element of each width, and all but one block of each depth."""
    kept = {group.name: range(0, group.size, 2) if group.kind == "width" else range(group.size)[1:] for group in groups_of(model)}
    return Architecture({name: tuple(indices) for name, indices in kept.items()})


def test_hard_masks_equal_the_extracted_static_network() -> None:
    graph, model = sparse_graph(torch.Generator().manual_seed(7)), marked_model()
    architecture, triples = some_architecture(model), every_triple(graph)
    static = IsdeaMarked(SETTINGS, architecture).double().eval()
    static.load_state_dict(extract(model, architecture))
    with masked(model, hard_masks(groups_of(model), architecture, torch.ones(1, dtype=torch.float64))):
        expected = scores(model, graph, triples)
    torch.testing.assert_close(scores(static, graph, triples), expected, rtol=0, atol=1e-10)


def test_cost_of_an_architecture_is_the_cost_of_its_static_network() -> None:
    graph, model = sparse_graph(torch.Generator().manual_seed(8)), marked_model()
    architecture, batch = some_architecture(model), Batch(graph, every_triple(graph)[:50], "node")
    static = IsdeaMarked(SETTINGS, architecture).double().eval()
    counts = counts_of(groups_of(model), architecture)
    assert evaluate(macs(model, lambda: model(batch)), counts).item() == total(macs(static, lambda: static(batch)))
    assert evaluate(parameters(model), counts).item() == total(parameters(static))


def test_sparse_sums_are_counted_by_edges() -> None:
    graph, model = sparse_graph(torch.Generator().manual_seed(8)), marked_model()
    cost = macs(model, lambda: model(Batch(graph, every_triple(graph)[:50], "node")))
    rows = {term.axes[0].parts[0][0]: term.coefficient for term in cost.terms if len(term.axes) == 1}
    assert rows.keys() == {"relation", "node.hidden", "layer0.message", "layer1.message", "layer2.message"}
    assert all(count > 0 for count in rows.values())


def test_features_are_named_and_a_gradient_reaches_every_parameter() -> None:
    graph, model = random_graph(torch.Generator().manual_seed(9)), marked_model()
    output = model(Batch(graph, every_triple(graph)[:200], "train"))
    output.prediction.square().sum().backward()
    assert output.meaning == "candidates"
    assert {name: feature.value.shape for name, feature in output.features.items()} == {"state": (200, 6), "pair": (200, 6)}
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())
