"""Networks of whole graphs: what they compute, what does not matter to them, and what is cut out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.sample import Batch, Prepared
from tests.space.cutting import random_architecture

SETTINGS: list[dict[str, Any]] = [
    {"family": "gcn"},
    {"family": "gcn", "pool": "max", "norm": "none"},
    {"family": "sage", "pool": "sum", "residual": True, "jumping": "last"},
    {"family": "gin"},
    {"family": "pna"},
    {"family": "gin", "pool": "mean", "norm": "none", "layers": 1},
    {"family": "gat", "heads": 4, "layers": 2},
    {"family": "mlp", "layers": 2},
    {"family": "gps", "layers": 2},
    {"family": "gps", "messages": "gcn", "norm": "none", "heads": 2},
]
every = pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
SIZES = {"features": 3, "classes": 2}


def build(settings: dict[str, Any], architecture: Architecture | None = None, sizes: dict[str, int] = SIZES) -> nn.Module:
    torch.manual_seed(0)
    chosen = TypeAdapter(WORKLOAD.model_settings).validate_python({"hidden": 8} | settings)
    return WORKLOAD.model(chosen, sizes, architecture).double().eval()


def graphs() -> Prepared:
    """Five graphs of two to six nodes; the third one has no edge."""
    rng, nodes = torch.Generator().manual_seed(3), torch.tensor([2, 6, 3, 4, 5])
    counts = torch.tensor([2, 9, 0, 6, 7])
    edges = torch.cat([torch.randint(int(size), (2, int(count)), generator=rng) for size, count in zip(nodes, counts, strict=True)], 1)
    features = torch.randn(int(nodes.sum()), 3, generator=rng, dtype=torch.float64)
    return Prepared(features, edges, nodes, counts, torch.arange(5) % 2, torch.zeros(2, 0))


def answers(model: nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad():
        return WORKLOAD.apply(model, batch).prediction


@every
def test_neither_the_order_of_nodes_nor_that_of_edges_nor_other_graphs_matter(settings: dict[str, Any]) -> None:
    model, found, rng = build(settings), graphs(), torch.Generator().manual_seed(5)
    whole = found.batch(torch.arange(5))
    wanted = answers(model, whole)
    order = torch.randperm(len(whole.x), generator=rng)
    order = order[whole.batch[order].argsort(stable=True)] if settings["family"] == "gps" else order  # nodes of a graph stay side by side
    moved = replace(whole, x=whole.x[order], batch=whole.batch[order], edge_index=order.argsort()[whole.edge_index])
    torch.testing.assert_close(answers(model, moved), wanted, rtol=0, atol=1e-10)
    shuffled = replace(whole, edge_index=whole.edge_index[:, torch.randperm(whole.edge_index.shape[1], generator=rng)])
    torch.testing.assert_close(answers(model, shuffled), wanted, rtol=0, atol=1e-10)
    rows = torch.tensor([3, 0, 2, 4, 1])
    torch.testing.assert_close(answers(model, found.batch(rows)), wanted[rows], rtol=0, atol=1e-10)
    alone = torch.cat([answers(model, found.batch(torch.tensor([row]))) for row in range(5)])
    torch.testing.assert_close(alone, wanted, rtol=0, atol=1e-10)


@every
def test_what_is_cut_out_answers_as_what_is_masked(settings: dict[str, Any]) -> None:
    model, batch = build(settings), graphs().batch(torch.arange(5))
    groups = groups_of(model)
    architecture = random_architecture(groups, torch.Generator().manual_seed(1))
    static = build(settings, architecture)
    static.load_state_dict(extract(model, architecture))
    with masked(model, hard_masks(groups, architecture, torch.ones(1, dtype=torch.float64))):
        wanted = answers(model, batch)
    torch.testing.assert_close(answers(static, batch), wanted, rtol=0, atol=1e-10)
    assert (answers(model, batch) - wanted).abs().max() > 1e-3


def test_only_the_edgeless_network_answers_alike_on_other_edges() -> None:
    batch = graphs().batch(torch.arange(5))
    for family in ("gcn", "sage", "gin", "mlp"):
        model = build({"family": family})
        assert torch.equal(answers(model, batch), answers(model, replace(batch, edge_index=batch.edge_index[:, :4]))) == (family == "mlp")


def test_a_graph_isomorphism_network_sums_neighbours_and_then_nodes() -> None:
    """Of a path of three nodes with epsilon 0.1 the layer makes 9.9, 11.0 and 6.6."""
    model = build({"family": "gin", "hidden": 2, "layers": 1, "norm": "none"}, sizes={"features": 2, "classes": 1})
    weights = {"body.convs.0.nn.lins.0.weight": [[1, 0.5], [-0.5, 1]], "body.convs.0.nn.lins.0.bias": [0.1, -0.2]}
    weights |= {"body.convs.0.nn.lins.1.weight": [[2, -1], [0, 0]], "body.convs.0.nn.lins.1.bias": [0.3, 0]}
    weights |= {"body.convs.0.eps": [0.1], "head.weight": [[1, 0]], "head.bias": [0]}
    model.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()})
    x = torch.tensor([[1, 2], [3, -1], [0.5, 0]], dtype=torch.float64)
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    found = answers(model, Batch(x, edges, torch.zeros(3, dtype=torch.long), 1, torch.zeros(1), torch.zeros(2, 0)))
    assert float(found) == pytest.approx(9.9 + 11.0 + 6.6, abs=1e-10)


def test_hidden_layers_are_there_for_losses() -> None:
    model = build({"family": "sage", "features": {"hidden": "body"}})
    hidden = WORKLOAD.apply(model, graphs().batch(torch.arange(5))).features["hidden"]
    assert (hidden.value.shape, hidden.layout.channel) == ((20, 8), 1)
