"""Networks of PyTorch Geometric for pairs of nodes: what does not matter to them, and what is cut out of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.static_edges import WORKLOAD
from stillhouse.workloads.graphs.static_edges.sample import Batch
from tests.space.cutting import random_architecture
from tests.workloads.graphs.static_nodes.test_models import graph

SETTINGS: list[dict[str, Any]] = [
    {"family": "gcn", "norm": "batch"},
    {"family": "sage", "layers": 3, "residual": True, "jumping": "cat"},
    {"family": "gat", "heads": 4},
    {"family": "gin"},
    {"family": "pna"},
    {"family": "mlp"},
]
every = pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: str(settings["family"]))


def build(settings: dict[str, Any], architecture: Architecture | None = None) -> nn.Module:
    torch.manual_seed(0)
    chosen = TypeAdapter(WORKLOAD.model_settings).validate_python({"hidden": 8} | settings)
    return WORKLOAD.model(chosen, {"features": 5}, architecture).double().eval()


def batch() -> Batch:
    found = graph()
    return Batch(found.features, found.edges, torch.arange(4), torch.arange(4, 24).reshape(4, 5))


def answers(model: nn.Module, given: Batch) -> Tensor:
    with torch.no_grad():
        return WORKLOAD.apply(model, given).prediction


@every
def test_neither_the_order_of_nodes_nor_that_of_edges_nor_that_of_a_pair_matters(settings: dict[str, Any]) -> None:
    model, found = build(settings), batch()
    wanted = answers(model, found)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(5))
    place = order.argsort()
    moved = Batch(found.features[order], place[found.edges].flip(1), place[found.source], place[found.target])
    torch.testing.assert_close(answers(model, moved), wanted, rtol=0, atol=1e-10)
    turned = Batch(found.features, found.edges, found.target[:, 2], found.source[:, None])
    torch.testing.assert_close(answers(model, turned), wanted[:, 2:3], rtol=0, atol=1e-10)


@every
def test_what_is_cut_out_answers_as_what_is_masked(settings: dict[str, Any]) -> None:
    model, found = build(settings), batch()
    groups = groups_of(model)
    architecture = random_architecture(groups, torch.Generator().manual_seed(1))
    static = build(settings, architecture)
    static.load_state_dict(extract(model, architecture))
    with masked(model, hard_masks(groups, architecture, torch.ones(1, dtype=torch.float64))):
        wanted = answers(model, found)
    torch.testing.assert_close(answers(static, found), wanted, rtol=0, atol=1e-10)
    assert (answers(model, found) - wanted).abs().max() > 1e-4


@every
def test_only_the_edgeless_network_answers_alike_on_other_edges(settings: dict[str, Any]) -> None:
    model, found = build(settings), batch()
    other = Batch(found.features, found.edges[:, :9].roll(1, 0), found.source, found.target)
    assert torch.equal(answers(model, found), answers(model, other)) == (settings["family"] == "mlp")


def test_heads_share_the_width() -> None:
    with pytest.raises(ValidationError, match="hidden should be a multiple of heads - got 8 and 3"):
        build({"family": "gat", "heads": 3})
