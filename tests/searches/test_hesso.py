from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.searches import hesso
from stillhouse.searches._rounding import Rounding
from stillhouse.searches._slices import slices
from stillhouse.space.blueprint import Blueprint, fixed, groups_of
from tests.searches import toy

TOY: dict[str, Any] = {}
"""The defaults suit the toy problems of the family's tests."""


class Small(nn.Module):
    """Three hidden units between two inputs and one output."""

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        blueprint = Blueprint()
        hidden = blueprint.width("hidden", 3)
        self.first = blueprint.linear(fixed(2), hidden, bias=norm)
        self.norm = blueprint.batch_norm(hidden) if norm else nn.Identity()
        self.gate, self.second = blueprint.gate(hidden), blueprint.linear(hidden, fixed(1), bias=False)
        self.blueprint = blueprint
        self.first.weight.data.copy_(torch.tensor([[1.0, 0], [0.5, -1], [1, 1]]))
        self.second.weight.data.copy_(torch.tensor([[1.0, -2, 0.5]]))

    def forward(self, value: Tensor) -> Tensor:
        return self.second(self.gate(self.norm(self.first(value)).relu()))


def pruning(model: nn.Module, *, budget: float = 2.0, duration: int = 5, start: int = 0, periods: int = 1) -> hesso.Pruning:
    """A unit costs 1."""
    groups = groups_of(model)
    rounding = Rounding(groups, lambda counts: counts["hidden"], budget)
    return hesso.Pruning(groups, slices(model, groups), rounding, hesso.Schedule(start, duration, periods))


def test_saliency_by_hand() -> None:
    """Magnitude [1, 1.118, 1.414], mean [0.5, 0.559, 0.707], cosine + 1 [1.447, 1, 1.949], |x.d| [1.5, 0, 2.25], half its square."""
    model = Small()
    state = pruning(model)
    state.look()
    loss = 0.5 * (model(torch.tensor([[1.0, 2]])) - 1).square().sum()
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            assert weight.grad is not None
            weight -= 0.125 * weight.grad
    assert state.scores()["hidden"].tolist() == pytest.approx([0.4964507720, 0.2931144709, 0.7720286178], abs=1e-6)


def test_saliency_is_the_formula() -> None:
    square, step, product, weights = (torch.tensor(values, dtype=torch.float64) for values in VALUES)
    found = hesso.saliency(square, step, product, weights)
    assert found.tolist() == pytest.approx([0.4964507720, 0.2931144709, 0.7720286178], abs=1e-6)
    torch.testing.assert_close(hesso.saliency(square, 1e-8 * step, 1e-4 * product, weights), found)


VALUES = ([1, 1.25, 2], [11.25, 0, 2.8125], [1.5, 0, 2.25], [2, 2, 2])
"""|x|^2, |d|^2, x . d and the number of weights, of the rows of the network above."""


def test_the_share_that_is_left_falls_evenly_to_nothing() -> None:
    schedule = hesso.Schedule(0, 5, 2)
    left, shares = 1.0, []
    for step in range(1, 5):
        left *= schedule.factor(step)
        shares.append(left)
    assert shares == pytest.approx([0.75, 0.5, 0.25, 0])
    assert [step for step in range(30) if schedule.begins(step)] == [1, 6]
    assert [hesso.Schedule(3, 5, 2).begins(step) for step in (3, 4, 9, 14)] == [None, 1, 2, None]


def test_what_is_marked_shrinks_after_each_step_and_all_else_is_left_alone() -> None:
    """Without a step the second unit goes by its size, being as large as the first but for one weight of its norm."""
    model = Small(norm=True)
    model.norm.weight.data.copy_(torch.tensor([3.0, 0.1, 2]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = pruning(model)
    for wanted in (0.75, 0.5, 0.25, 0.0):
        state.look()
        state.step()
        for name in ("first.weight", "first.bias", "norm.weight", "norm.bias"):
            now = model.state_dict()[name]
            torch.testing.assert_close(now[1], wanted * before[name][1])
            assert torch.equal(now[[0, 2]], before[name][[0, 2]])
        assert torch.equal(model.second.weight, before["second.weight"])
    assert not model.norm.weight[1]
    assert state.masks()["hidden"].tolist() == [1, 0, 1]
    assert state.kept().kept == {"hidden": (0, 2)}


def test_each_period_takes_a_like_part_of_the_cost() -> None:
    state = pruning(Small(), budget=1.0, duration=3, periods=2)
    left = []
    for _ in range(6):
        state.look()
        state.step()
        left.append((len(state.kept().kept["hidden"]), int(state.left.sum())))
    assert left == [(2, 3), (2, 2), (2, 2), (1, 2), (1, 1), (1, 1)]


def test_inputs_that_nothing_writes_are_taken_by_what_reads_them() -> None:
    problem = toy.problem()
    (part,) = slices(problem.supernet(), problem.groups)
    assert part.dim == 1
    assert part.groups == {"left", "right"}


def test_too_few_steps_are_refused() -> None:
    settings = hesso.HessoSettings(fit={"epochs": 1, "learning_rate": 0.1}, pruning=0.5, periods=4)
    with pytest.raises(UserError, match=r"wanted 2 steps at least for each of 4 periods - 0\.5 of 8 steps leave 1: raise fit\.epochs"):
        next(hesso.run(toy.problem(), settings, torch.Generator()))
    with pytest.raises(ValidationError, match=r"at most 1: got 0\.6 \+ 0\.5"):
        hesso.HessoSettings(fit={"epochs": 1, "learning_rate": 0.1}, start=0.6)
