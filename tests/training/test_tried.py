"""Networks of somebody's own that predict in a wrong shape, or answer under masks otherwise than what is cut out of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import Architecture, Blueprint, fixed, groups_of
from stillhouse.training.proved import require_proved
from stillhouse.training.tried import require_taken

BATCH = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


def loss(output: Output, batch: Tensor) -> Tensor:
    return cross_entropy(output.prediction, torch.ones(4, dtype=torch.long))


loss.__module__ = "stillhouse.workloads.some"
TASK: Any = SimpleNamespace(apply=lambda network, batch: Output(network(batch), "classes"), loss=loss)


class Own(nn.Module):
    """One hidden layer, of which each step may be left out."""

    def __init__(self, architecture: Architecture | None = None, *, gated: bool = True, told: bool = True, classes: int = 2) -> None:
        super().__init__()
        self.blueprint = Blueprint(architecture if told else None)
        hidden, more = self.blueprint.width("hidden", 6), self.blueprint.width("more", 4)
        self.first, self.gate = self.blueprint.linear(fixed(3), hidden), self.blueprint.gate(hidden) if gated else nn.Identity()
        self.second, self.last_gate = self.blueprint.linear(hidden, more), self.blueprint.gate(more)
        self.last = self.blueprint.linear(more, fixed(classes))

    def forward(self, batch: Tensor) -> Tensor:
        return self.last(self.last_gate(self.second(self.gate(self.first(batch)))))


def test_a_network_that_says_what_the_loss_takes_is_left_alone() -> None:
    model, strange = Own(), nn.Linear(3, 7)
    state = torch.get_rng_state()
    require_taken(TASK, model, {"classes": 2}, BATCH)
    require_taken(TASK, strange, {"classes": 2}, BATCH)
    require_proved(TASK, model, Own, groups_of(model), BATCH)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("classes", "sizes", "told"),
    [
        (5, {"classes": 2}, r"wanted logits of 2 classes along the last axis - got classes of shape \(4, 5\)"),
        (1, {}, r"wanted an Output that the loss of this task takes - got classes of shape \(4, 1\) \(Target 1 is out of bounds"),
    ],
)
def test_a_prediction_of_a_wrong_shape_is_told(classes: int, sizes: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=rf"^tests/training/test_tried\.py, Own - {told}"):
        require_taken(TASK, Own(classes=classes), sizes, BATCH)


def test_a_missing_gate_is_told_with_its_group() -> None:
    model = Own(gated=False)
    with pytest.raises(UserError, match=r"test_tried\.py, Own - wanted a network that answers under its masks .* it does not for hidden: "):
        require_proved(TASK, model, lambda architecture: Own(architecture, gated=False), groups_of(model), BATCH)


def test_a_network_that_does_not_hear_of_its_architecture_is_told() -> None:
    model = Own()
    with pytest.raises(UserError, match=r"Own of an architecture - wanted first.bias of \(3,\) - got \(6,\): does its family hand"):
        require_proved(TASK, model, lambda architecture: Own(architecture, told=False), groups_of(model), BATCH)
