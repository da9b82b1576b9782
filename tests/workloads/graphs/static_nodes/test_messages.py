"""Edges as a matrix: the answers and gradients of edges one by one, and where the matrix is not taken."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from stillhouse.runtimes.program import tensors_read
from stillhouse.space import cost
from stillhouse.space.blueprint import groups_of, hard_masks, masked
from stillhouse.workloads.graphs._shared.messages import adjacency
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.geometric import network
from tests.space.cutting import random_architecture
from tests.workloads.graphs.static_nodes.test_models import SIZES, answers, build, graph

LAYERS = {"gcn": "GCN", "sage": "GraphSAGE", "gin": "GIN"}
every = pytest.mark.parametrize("family", LAYERS)


def edge_by_edge(family: str) -> nn.Module:
    torch.manual_seed(0)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": family, "hidden": 8})
    return network(LAYERS[family], settings, SIZES, None).double().eval()


def gradients(model: nn.Module, features: Tensor, edges: Tensor) -> list[Tensor]:
    given = features.clone().requires_grad_()
    prediction = model(given, edges).prediction
    return [prediction, *torch.autograd.grad(prediction.square().sum(), [given, *model.parameters()])]


@every
@pytest.mark.parametrize("thin", [False, True])
def test_a_matrix_gives_the_answers_and_gradients_of_edges_one_by_one(family: str, thin: bool) -> None:
    found, models = graph(), (build({"family": family}), edge_by_edge(family))
    architecture = random_architecture(groups_of(models[0]), torch.Generator().manual_seed(1))
    edges = found.edges[:, : 20 if thin else 90]  # one way only, and with nodes that no edge reaches
    for model in models:
        assert groups_of(model) == groups_of(models[0])
    ours, plain = [], []
    for model, kept in zip(models, (ours, plain), strict=True):
        masks = hard_masks(groups_of(model), architecture, torch.ones(1, dtype=torch.float64))
        with masked(model, masks) if thin else nullcontext():
            kept += gradients(model, found.features, edges)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-10)


def layouts(model: nn.Module) -> list[torch.layout]:
    seen: list[torch.layout] = []

    def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((named.get("edge_index", given[-1])).layout)

    model.get_submodule("convs.0").register_forward_pre_hook(note, with_kwargs=True)
    return seen


@every
def test_a_matrix_is_taken_in_full_precision_alone(family: str) -> None:
    model, found = build({"family": family}).float(), graph()
    seen = layouts(model)
    answers(model, found.features.float(), found.edges)
    with torch.autocast("cpu", torch.bfloat16):
        answers(model, found.features.float(), found.edges)
    answers(model.double(), found.features, found.edges)
    assert seen == [torch.sparse_csr, torch.strided, torch.sparse_csr]


@every
def test_what_is_cut_costs_what_was_said_of_it(family: str) -> None:
    """A product with the matrix would hide that the next layer reads the channels that this one writes."""
    model, found = build({"family": family}), graph()
    costs = cost.macs(model, lambda: answers(model, found.features, found.edges))
    architecture = random_architecture(groups_of(model), torch.Generator().manual_seed(1))
    smaller = build({"family": family}, architecture=architecture)
    own = cost.macs(smaller, lambda: answers(smaller, found.features, found.edges))
    told = float(cost.evaluate(costs, cost.counts_of(groups_of(model), architecture)))
    assert told == cost.total(own) < cost.total(costs)


def test_attention_and_networks_without_edges_take_no_matrix() -> None:
    found, model = graph(), build({"family": "gat", "heads": 4})
    seen = layouts(model)
    answers(model, found.features, found.edges)
    assert seen == [torch.strided]


def test_edges_are_still_read_where_their_matrix_is_kept() -> None:
    """An exported network would take edges that it does not read for nothing."""
    model, found = build({"family": "gcn"}), graph()
    nodes = torch.ones(30, dtype=torch.bool)
    batch = found.batch(nodes, nodes)
    for _ in range(2):
        assert set(tensors_read(WORKLOAD, model, batch)) == {"features", "edges", "asked"}


def test_a_row_of_the_matrix_is_a_target() -> None:
    matrix = adjacency(torch.tensor([[0, 0, 2], [1, 2, 1]]), 4, torch.float64)
    assert matrix.to_dense().tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
