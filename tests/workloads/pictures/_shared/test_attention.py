from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, Blueprint, groups_of
from stillhouse.workloads.pictures._shared.attention import Attention
from tests.space.cutting import check_costs, check_outputs, pair, random_architecture

TOKENS = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Alone(nn.Module):
    """Attention on a fixed input of a searched width, and a map back."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.blueprint = blueprint = Blueprint(architecture)
        trunk = blueprint.width("trunk", 6)
        self.first, self.gate = blueprint.linear(blueprint.width("outer", 6), trunk), blueprint.gate(trunk)
        self.attention = Attention(blueprint, "attention", trunk, heads=3, dimensions=4)
        self.last = blueprint.linear(trunk, blueprint.width("end", 3))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.gate(self.attention(self.gate(self.first(tokens)))))


def test_it_is_the_formula_head_by_head() -> None:
    torch.manual_seed(0)
    blueprint = Blueprint()
    layer = Attention(blueprint, "a", blueprint.width("trunk", 6), heads=3, dimensions=4).double()
    nn.init.normal_(layer.query.bias), nn.init.normal_(layer.value.bias), nn.init.normal_(layer.merge.bias)
    total = layer.merge.bias.expand(2, 5, 6)
    for head in range(3):
        query, key, value = (TOKENS @ part.weight[head].T + part.bias[head] for part in (layer.query, layer.key, layer.value))
        share = torch.exp(query @ key.mT / math.sqrt(4))
        total = total + (share / share.sum(-1, keepdim=True)) @ value @ layer.merge.weight[:, head].T
    torch.testing.assert_close(layer(TOKENS), total, rtol=1e-12, atol=1e-12)


def test_heads_and_dimensions_can_be_cut() -> None:
    groups = [group for group in groups_of(Alone()) if group.name not in ("outer", "end")]
    assert {group.name: (group.size, group.sharpness) for group in groups} == {
        "trunk": (6, 1),
        "attention.heads": (3, 4),
        "attention.query_key": (4, 1),
        "attention.value": (4, 1),
    }
    rng = torch.Generator().manual_seed(0)
    for _ in range(10):
        drawn = random_architecture(tuple(groups), rng)
        architecture = Architecture({**drawn.kept, "outer": tuple(range(6)), "end": (0, 1, 2)})
        both = pair(Alone, architecture)
        check_outputs(both, TOKENS)
        check_costs(both, architecture, TOKENS)
