"""A small network of residual blocks, traced, in which it is known which elements and which block matter."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Problem
from stillhouse.space import cost
from stillhouse.space.blueprint import groups_of
from stillhouse.space.trace.found import traced
from stillhouse.space.trace.smaller import cut
from tests.searches import toy

FIRST = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
"""What each of three neurons takes of two channels."""
SECOND = ((1.0, 2.0, 0.0), (0.0, -1.0, 3.0))
"""What each of two channels gets of three neurons."""
TOKENS = ((1.0, 0.0), (3.0, 0.5), (2.0, -0.5))
"""One sample of three positions and two channels."""


class Block(nn.Module):
    """x + share * second(first(x))."""

    def __init__(self, share: float, *, bias: bool) -> None:
        super().__init__()
        self.share, self.first, self.second = share, nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=bias)
        self.first.weight.data.copy_(torch.tensor(FIRST))
        self.second.weight.data.copy_(torch.tensor(SECOND))
        if bias:
            nn.init.zeros_(self.second.bias)

    def forward(self, value: Tensor) -> Tensor:
        return value + self.share * self.second(self.first(value))


class Trunk(nn.Module):
    """Blocks of which some change more than others."""

    def __init__(self, shares: tuple[float, ...], *, bias: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(share, bias=bias) for share in shares)

    def forward(self, value: Tensor) -> Tensor:
        for block in self.blocks:
            value = block(value)
        return value


def problem(shares: tuple[float, ...] = (1.0,), *, share: float = 0.7, bias: bool = True) -> Problem[Any]:
    """One batch of one sample, and a budget in MACs."""
    tokens = torch.tensor([TOKENS])
    model = traced(Trunk(shares, bias=bias), (tokens,))
    macs = cost.macs(model, lambda: model(tokens))
    batches = Batches(lambda rng: iter([(tokens,)]), 1)
    return replace(
        toy.problem(),
        groups=groups_of(model),
        supernet=lambda: traced(Trunk(shares, bias=bias), (tokens,)),
        static=partial(cut, model),
        cost=lambda counts: cost.evaluate(macs, counts),
        budget=share * cost.total(macs),
        data=Data(batches, batches),
        apply=lambda network, batch: Output(network(batch[0]), "values"),
        validate=lambda network: {"score": 0.0},
    )
