"""ISDEA: double equivariance, equality with the formula, what it hides, and what a search may cut out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchmarks.isdea_literal import literal_scores
from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.cost import counts_of, evaluate, macs, parameters, total
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.knowledge.families.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, asked_pairs
from stillhouse.workloads.graphs.knowledge.rows import rows_of
from tests.workloads.graphs.knowledge.graphs import graph_of, random_graph, randomised, scores, self_triples, some_triples, worst_difference

SETTINGS = IsdeaSettings(width=5, layers=3, hops=2)
RESIDUAL = IsdeaSettings(width=5, layers=3, hops=2, residual=True)


def isdea(settings: IsdeaSettings = SETTINGS) -> Isdea:
    """Random weights, double precision, evaluation mode."""
    model = randomised(Isdea(settings))
    assert isinstance(model, Isdea)
    return model


def test_scores_are_doubly_equivariant() -> None:
    assert worst_difference(isdea()) < 1e-10


class WithRelationTable(nn.Module):
    """A control that adds a learned embedding of the relation to each state."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.asked = isdea(), torch.empty(0, dtype=torch.long)
        self.table = torch.randn(100, SETTINGS.width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        self.model.mixes[1].register_forward_hook(lambda module, inputs, output: (output[0] + self.table[self.asked], output[1]))

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        self.asked = asked_pairs(batch)[0] % (2 * batch.graph.relations)
        return self.model(batch)


class WithRandomNodes(nn.Module):
    """A control whose nodes start from random numbers instead of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.model = isdea()
        self.table = torch.rand(100, SETTINGS.width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        first = self.model.layers["0"]
        first.register_forward_pre_hook(lambda module, inputs: (self.table[: len(inputs[0])], *inputs[1:]))

    def forward(self, batch: Batch) -> Output:
        """As the model's."""
        return self.model(batch)


@pytest.mark.parametrize("control", [WithRelationTable, WithRandomNodes])
def test_controls_with_identities_are_not_equivariant(control: type[nn.Module]) -> None:
    assert worst_difference(control(), renamings=2) > 1e-3


@pytest.mark.parametrize("settings", [SETTINGS, RESIDUAL, IsdeaSettings(width=3, layers=1)])
@pytest.mark.parametrize("training", [False, True])
def test_it_equals_the_formula(settings: IsdeaSettings, training: bool) -> None:
    rng, model = torch.Generator().manual_seed(3), isdea(settings).train(training)
    for nodes, relations, number in ((9, 4, 40), (14, 3, 16), (12, 6, 5)):
        graph = random_graph(rng, nodes, relations, number)
        for triples in (self_triples(graph), some_triples(graph, rng)):
            batch = Batch(graph, triples, "train")
            statistics = {name: value.clone() for name, value in model.named_buffers()}
            expected, tracked = literal_scores(model, batch), {name: value.clone() for name, value in model.named_buffers()}
            for name, value in model.named_buffers():
                value.copy_(statistics[name])
            assert (model(batch).prediction - expected).abs().max() < 1e-10
            for name, value in model.named_buffers():
                assert torch.allclose(value.double(), tracked[name].double(), atol=1e-12) or name.endswith("num_batches_tracked")


def test_gradients_equal_those_of_the_formula() -> None:
    rng, model = torch.Generator().manual_seed(4), isdea().train()
    graph = random_graph(rng)
    batch = Batch(graph, some_triples(graph, rng), "train")
    weights = torch.randn(3, 2, dtype=torch.float64, generator=rng)
    fast = torch.autograd.grad((model(batch).prediction * weights).sum(), list(model.parameters()))
    literal = torch.autograd.grad((literal_scores(model, batch) * weights).sum(), list(model.parameters()))
    for one, other, (name, _) in zip(fast, literal, model.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-10), name


def test_states_that_must_be_equal_are_kept_once() -> None:
    graph = random_graph(torch.Generator().manual_seed(5), nodes=40, relations=20, triples=30)
    levels = [step.after for step in rows_of(graph, 3).steps]
    assert levels[0].touched < levels[1].touched < 40 * 40 / 2
    assert all(level.share.sum() == 40 * 40 for level in levels)


@pytest.mark.parametrize(
    ("triples", "nodes", "relations"),
    [
        ([(0, 0, 1), (1, 0, 2)], 5, 1),  # one relation, isolated nodes
        ([(0, 0, 1), (1, 2, 2), (2, 2, 2)], 4, 4),  # relations without edges, a self-loop
        ([], 3, 2),  # nothing observed
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_degenerate_graphs_give_finite_scores(triples: list[tuple[int, int, int]], nodes: int, relations: int, training: bool) -> None:
    graph, model = graph_of(triples, nodes, relations), isdea().train(training)
    batch = Batch(graph, self_triples(graph), "train")
    assert torch.isfinite(model(batch).prediction).all()
    assert (model(batch).prediction - literal_scores(model, batch)).abs().max() < 1e-10


def test_one_set_of_parameters_serves_graphs_of_any_size() -> None:
    rng, model = torch.Generator().manual_seed(6), isdea()
    for nodes, relations in ((5, 2), (30, 11)):
        graph = random_graph(rng, nodes, relations, 20)
        assert torch.isfinite(scores(model, graph, some_triples(graph, rng))).all()


def test_edges_between_target_pairs_do_not_matter() -> None:
    """The answer is hidden in both directions and by all relations, for false triples too."""
    rng, model = torch.Generator().manual_seed(7), isdea()
    graph = random_graph(rng)
    triples = torch.tensor([[[0, 1, 2], [3, 5, 4]]])
    head, relation, tail = (torch.tensor(values) for values in ([0, 2, 2, 3, 4], [1, 1, 3, 0, 2], [2, 0, 0, 4, 3]))
    with_edges = Graph(torch.cat((graph.head, head)), torch.cat((graph.relation, relation)), torch.cat((graph.tail, tail)), 9, 4)
    assert (scores(model, graph, triples) - scores(model, with_edges, triples)).abs().max() < 1e-12
    beside = Graph(torch.cat((graph.head, head)), torch.cat((graph.relation, relation)), torch.cat((graph.tail, tail + 1)), 9, 4)
    assert (scores(model, graph, triples) - scores(model, beside, triples)).abs().min() > 1e-6


def random_architecture(model: nn.Module, rng: torch.Generator) -> Architecture:
    """A random subset of every group."""
    kept = {}
    for group in groups_of(model):
        count = int(torch.randint(max(group.minimum, 0), group.size + 1, (), generator=rng))
        kept[group.name] = tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))
    return Architecture(kept)


@pytest.mark.parametrize("settings", [SETTINGS, RESIDUAL])
def test_a_masked_network_equals_the_cut_one(settings: IsdeaSettings) -> None:
    rng, model = torch.Generator().manual_seed(8), isdea(settings)
    graph = random_graph(rng)
    batch = Batch(graph, some_triples(graph, rng), "train")
    removed = set()
    for _ in range(10):
        architecture = random_architecture(model, rng)
        removed.add(settings.layers - 1 - len(architecture.kept.get("layers", ())))
        static = Isdea(settings, architecture).double().eval()
        static.load_state_dict(extract(model, architecture))
        with masked(model, hard_masks(groups_of(model), architecture, torch.ones((), dtype=torch.float64))), torch.no_grad():
            expected = model(batch).prediction
        assert (static(batch).prediction - expected).abs().max() < 1e-10
        counts = counts_of(groups_of(model), architecture)
        assert evaluate(macs(model, lambda: model(batch)), counts) == total(macs(static, lambda batch=batch, static=static: static(batch)))
        assert evaluate(parameters(model), counts) == sum(value.numel() for value in static.parameters())
    assert removed >= {0, 1, 2} if settings.residual else True


@pytest.mark.parametrize("settings", [SETTINGS, RESIDUAL])
def test_its_cost_equals_an_independent_count(settings: IsdeaSettings) -> None:
    rng, model = torch.Generator().manual_seed(9), isdea(settings)
    graph = random_graph(rng, nodes=12, relations=5, triples=12)
    batch = Batch(graph, some_triples(graph, rng), "train")
    assert total(macs(model, lambda: model(batch))) == counted(settings, batch)


def counted(settings: IsdeaSettings, batch: Batch) -> int:
    """Multiply-adds from the sets of touched pairs, found by sets and loops."""
    nodes, edges = batch.graph.nodes, list(zip(*(part.tolist() for part in batch.graph.augmented()), strict=True))
    joined = {(target, source) for source, _, target in edges}
    direct = {(target, kind) for _, kind, target in edges}
    touched: set[tuple[int, int]] = set()
    width, number = settings.width, 0
    for _ in range(settings.layers):
        reached = [(target, kind) for target, source in joined for node, kind in touched if node == source]
        after = touched | set(reached) | direct
        before_rows, after_rows = len(touched) + nodes, len(after) + nodes
        number += 2 * before_rows * width**2  # both first layers
        number += (before_rows + len(direct)) * width**2 + after_rows * width**2  # both second layers
        own, totals, neighbours = len(edges), before_rows, len(joined)
        number += width * (own + totals + neighbours + own + own + after_rows + len(touched) + len(reached) + len(direct))
        touched = after
    rows = len(touched) + nodes
    asked = {(node, kind) for head, kind, tail in batch.triples.reshape(-1, 3).tolist() for node in (head, tail)}
    number += 2 * rows * width + (rows + nodes) * width**2 + 2 * len(asked) * width**2
    return number + batch.triples[..., 0].numel() * (4 * width**2 + width)


def test_features_are_those_of_the_pairs_asked_for() -> None:
    rng, model = torch.Generator().manual_seed(10), isdea()
    graph = random_graph(rng)
    batch = Batch(graph, some_triples(graph, rng), "train")
    features = model(batch).features
    asked = len(asked_pairs(batch)[0])
    assert {name: tuple(feature.value.shape) for name, feature in features.items()} == {
        **{f"layer{index}": (asked, 5) for index in range(3)},
        "state": (asked, 5),
        "pair": (6, 5),
    }


def test_a_batch_moves_with_its_graph() -> None:
    graph = random_graph(torch.Generator().manual_seed(11))
    batch = Batch(graph, some_triples(graph, torch.Generator()), "mixed")
    moved: Tensor = batch.to("meta").triples
    assert moved.device.type == "meta"
    assert batch.graph.to("meta") is batch.graph.to("meta")
    assert batch.to("cpu").graph is graph
    assert replace(batch, task="node").task == "node"
