"""ISDEA+: double equivariance, equality with the formula, and what its two states can and cannot tell apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.cost import counts_of, evaluate, macs, parameters, total
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.knowledge.distances import distances
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.families.isdea_plus import Branch, IsdeaPlus, IsdeaPlusSettings
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, asked_pairs, hide_pairs
from tests.workloads.graphs.knowledge.graphs import (
    graph_of,
    random_graph,
    randomised,
    scores,
    self_triples,
    some_triples,
    unjoined_triples,
    worst_difference,
)

SETTINGS = IsdeaPlusSettings(width=5, layers=3, predictor=7)


def isdea_plus(settings: IsdeaPlusSettings = SETTINGS) -> IsdeaPlus:
    """Random weights, double precision, evaluation mode."""
    model = randomised(IsdeaPlus(settings))
    assert isinstance(model, IsdeaPlus)
    return model


def literal_scores(model: IsdeaPlus, batch: Batch) -> Tensor:
    """The formula, one triple at a time, all nodes and all layers."""
    source, relation, target = hide_pairs(batch.graph, batch.triples).augmented()
    neighbours = [set(source[target == node].tolist()) for node in range(batch.graph.nodes)]
    degree = torch.tensor([float(len(found)) for found in neighbours], dtype=torch.float64)
    scores = []
    for head, kind, tail in batch.triples.reshape(-1, 3).tolist():
        weights = 1 / (degree[source] * degree[target]).sqrt()

        def add(state: Tensor, which: Tensor, weights: Tensor = weights) -> Tensor:
            return torch.zeros_like(state).index_add(0, target[which], weights[which, None] * state[source[which]])

        def propagate(branch: Branch, first: Tensor, add: object = add) -> Tensor:
            states = [torch.ones(batch.graph.nodes, model.settings.width, dtype=torch.float64)]
            for index, (own, beside) in enumerate(zip(branch.self_weights, branch.neighbour_weights, strict=True)):
                which = first if index == 0 else torch.ones_like(first)
                states.append(own(states[-1]) + beside(add(states[-1], which)))  # type: ignore[operator]
            return chained(branch.perceptron.layers, torch.cat(states, 1), torch.tanh)

        both = torch.cat((propagate(model.own, relation == kind), propagate(model.other, relation != kind)), 1)
        state = chained(model.combine.layers, both, torch.tanh)
        pair = [state[head], state[tail], state[head] * state[tail]]
        for way in ((head, tail), (tail, head)):
            hops = distances(batch.graph, torch.tensor([way]), batch.graph.nodes - 1, directed=True)
            pair.append(chained(model.distance.layers, hops.double() / batch.graph.nodes, torch.tanh))
        scores.append(chained(model.predictor.layers, torch.cat(pair), torch.relu))
    return torch.cat(scores).view(batch.triples.shape[:-1])


def chained(layers: nn.ModuleList, value: Tensor, activation: object) -> Tensor:
    value = layers[0](value)
    for layer in list(layers)[1:]:
        value = layer(activation(value))  # type: ignore[operator]
    return value


def test_it_equals_the_formula() -> None:
    rng, model = torch.Generator().manual_seed(0), isdea_plus()
    for nodes, relations, number in ((9, 4, 40), (14, 3, 16), (12, 6, 5)):
        graph = random_graph(rng, nodes, relations, number)
        batch = Batch(graph, some_triples(graph, rng, 6), "train")
        assert (model(batch).prediction - literal_scores(model, batch)).abs().max() < 1e-10


def test_scores_are_doubly_equivariant() -> None:
    assert worst_difference(isdea_plus()) < 1e-10


class WithRelationTable(nn.Module):
    """A control that adds a learned embedding of the relation to each state."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.relation = isdea_plus(), torch.empty(0, dtype=torch.long)
        self.table = torch.randn(100, SETTINGS.width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        self.model.combine.register_forward_hook(lambda module, inputs, output: output + self.table[self.relation])

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        self.relation = asked_pairs(batch)[0] % (2 * batch.graph.relations)
        return self.model(batch)


class WithNodeTable(nn.Module):
    """A control that adds random numbers of the node to each state."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.node = isdea_plus(), torch.empty(0, dtype=torch.long)
        self.table = torch.randn(100, SETTINGS.width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        self.model.combine.register_forward_hook(lambda module, inputs, output: output + self.table[self.node])

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        self.node = asked_pairs(batch)[0] // (2 * batch.graph.relations)
        return self.model(batch)


@pytest.mark.parametrize("control", [WithRelationTable, WithNodeTable])
def test_controls_with_identities_are_not_equivariant(control: type[nn.Module]) -> None:
    assert worst_difference(control(), renamings=2) > 1e-3


def test_a_batch_of_many_relations_scores_as_one_query_at_a_time() -> None:
    rng, model = torch.Generator().manual_seed(3), isdea_plus()
    graph = random_graph(rng, 14, 4, 20)
    triples = unjoined_triples(graph, rng, 20)
    assert len(triples[..., 1].unique()) > 4
    together = scores(model, graph, triples)
    alone = torch.cat([scores(model, graph, triple[None]) for triple in triples])
    assert (together - alone).abs().max() < 1e-12


def merged(graph: Graph, kind: int) -> Graph:
    """All relations but one made into a single one, parallel edges kept."""
    return replace(graph, relation=(graph.relation != kind).long(), relations=2)


@pytest.mark.parametrize(("model", "alike"), [(isdea_plus(), True), (randomised(Isdea(IsdeaSettings(width=5))), False)])
def test_the_other_relations_may_be_merged_into_one(model: nn.Module, alike: bool) -> None:
    """True of ISDEA+, whose second state knows no relation; not of ISDEA."""
    graph = random_graph(torch.Generator().manual_seed(4), 12, 4, 25)
    node = torch.arange(12)
    for kind in range(4):
        asked = torch.stack((node, torch.full_like(node, kind), node), -1)[:, None]
        changed = asked.clone()
        changed[..., 1] = 0
        difference = (scores(model, graph, asked) - scores(model, merged(graph, kind), changed)).abs().max()
        assert difference < 1e-10 if alike else difference > 1e-4


def test_unused_relations_change_nothing() -> None:
    graph = random_graph(torch.Generator().manual_seed(5), 10, 3, 20)
    triples = self_triples(graph)[: 3 * 10]
    assert (scores(isdea_plus(), graph, triples) - scores(isdea_plus(), replace(graph, relations=7), triples)).abs().max() < 1e-12


@pytest.mark.parametrize(("triples", "nodes", "relations"), [([(0, 0, 1)], 5, 1), ([], 3, 2), ([(0, 1, 0)], 1, 2)])
def test_degenerate_graphs_give_finite_scores(triples: list[tuple[int, int, int]], nodes: int, relations: int) -> None:
    graph = graph_of(triples, nodes, relations)
    assert torch.isfinite(scores(isdea_plus(), graph, self_triples(graph))).all()


def test_edges_between_target_pairs_do_not_matter() -> None:
    rng, model = torch.Generator().manual_seed(6), isdea_plus()
    graph = random_graph(rng, 9, 4, 20)
    triples = torch.tensor([[[0, 1, 2]]])
    joined, beside = (
        Graph(torch.cat((graph.head, torch.tensor([0, 2]))), graph.relation[[*range(20), 0, 1]], torch.cat((graph.tail, tail)), 9, 4)
        for tail in (torch.tensor([2, 0]), torch.tensor([3, 1]))
    )
    assert (scores(model, graph, triples) - scores(model, joined, triples)).abs().max() < 1e-12
    assert (scores(model, graph, triples) - scores(model, beside, triples)).abs().max() > 1e-6


def test_a_masked_network_equals_the_cut_one() -> None:
    rng, model = torch.Generator().manual_seed(7), isdea_plus()
    graph = random_graph(rng)
    batch = Batch(graph, some_triples(graph, rng), "train")
    for _ in range(5):
        kept = {}
        for group in groups_of(model):
            count = int(torch.randint(1, group.size + 1, (), generator=rng))
            kept[group.name] = tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))
        architecture = Architecture(kept)
        static = IsdeaPlus(SETTINGS, architecture).double().eval()
        static.load_state_dict(extract(model, architecture))
        with masked(model, hard_masks(groups_of(model), architecture, torch.ones((), dtype=torch.float64))), torch.no_grad():
            expected = model(batch).prediction
        assert (static(batch).prediction - expected).abs().max() < 1e-10
        counts = counts_of(groups_of(model), architecture)
        assert evaluate(macs(model, lambda: model(batch)), counts) == total(macs(static, lambda batch=batch, static=static: static(batch)))
        assert evaluate(parameters(model), counts) == sum(value.numel() for value in static.parameters())


def test_its_cost_equals_an_independent_count() -> None:
    rng, model = torch.Generator().manual_seed(8), isdea_plus()
    graph = random_graph(rng, 12, 5, 25)
    batch = Batch(graph, some_triples(graph, rng, 6), "train")
    source, _, target = graph.augmented()
    joined = len(set(zip(source.tolist(), target.tolist(), strict=True)))
    triples = batch.triples.reshape(-1, 3).tolist()
    asked = len({(node, kind) for head, kind, tail in triples for node in (head, tail)})
    width, kinds = SETTINGS.width, len({kind for _, kind, _ in triples})
    propagation = sum(2 * 2 * (SETTINGS.layers - layer) * width**2 for layer in range(SETTINGS.layers))
    branches = 2 * sum(one * other for one, other in pairwise(((SETTINGS.layers + 1) * width, width, width, width)))
    combination = 2 * width**2 + width**2 + width**2
    pairs = 2 * (width + width**2) + 5 * width * SETTINGS.predictor + SETTINGS.predictor**2 + SETTINGS.predictor
    expected = SETTINGS.layers * joined * (1 + kinds) + asked * (propagation + branches + combination) + len(triples) * pairs
    assert total(macs(model, lambda: model(batch))) == expected


def test_a_bound_on_hops_only_hides_longer_distances() -> None:
    path = graph_of([(node, 0, node + 1) for node in range(7)], 8, 1)
    free, bound = isdea_plus(), isdea_plus(SETTINGS.model_copy(update={"hops": 4}))
    near, far = torch.tensor([[[0, 0, 4]]]), torch.tensor([[[0, 0, 5]]])
    assert torch.equal(scores(free, path, near), scores(bound, path, near))
    assert not torch.equal(scores(free, path, far), scores(bound, path, far))
