"""What is told of a distillation loss that makes or gives something else than it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import NODES, Feature, Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.training import term


class Given(nn.Module):
    """A loss that is a function."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, student: Output, teacher: Output) -> Any:
        return self.function(student.features["state"].value, teacher.prediction)


def outputs() -> tuple[Output, Output]:
    ours = torch.ones(4, 3, requires_grad=True) * 2
    return tuple(Output(value, "classes", {"state": Feature(value, NODES)}) for value in (ours, torch.zeros(4, 3)))  # type: ignore[return-value]


def test_a_scalar_with_a_gradient_is_taken_as_it_is():
    assert term.given(Given(lambda ours, theirs: (ours - theirs).abs().mean()), *outputs()).item() == 2


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            lambda ours, theirs: (ours - theirs).mean(1),
            "wanted a scalar tensor, such as a mean over rows - got torch.float32 of shape (4,)",
        ),
        (lambda ours, theirs: (ours > theirs).any(), "wanted a scalar tensor, such as a mean over rows - got torch.bool of shape ()"),
        (lambda ours, theirs: 1.0, "wanted a scalar tensor, such as a mean over rows - got a float"),
        (lambda ours, theirs: (ours - theirs).mean().detach(), "got a number without a gradient"),
        (lambda ours, theirs: (ours.mul_(2) - theirs).mean(), "it changes one in place"),
        (lambda ours, theirs: (theirs.add_(1) - ours).mean(), "it changes one in place"),
    ],
)
def test_what_teaches_something_else_is_told(function: Callable[[Tensor, Tensor], Any], told: str):
    with pytest.raises(UserError) as error:
        term.given(Given(function), *outputs())
    assert str(error.value).startswith("the loss tests.training.test_term.Given - ")
    assert told in str(error.value)


def test_nothing_to_compare_counts_nothing():
    """Of rows without an edge, a loss over edges is 0 and has no gradient."""
    assert term.given(Given(lambda ours, theirs: ours.new_zeros(())), *outputs()).item() == 0


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda settings: nn.Identity(), "wanted a module made of settings and 2 more"),
        (lambda settings, student, teacher: print, "wanted a torch.nn.Module, which is trained with the student - got a builtin"),
    ],
)
def test_what_makes_no_module_is_told(make: Callable[..., Any], told: str):
    with pytest.raises(UserError, match=f"the loss mine - {told}"):
        term.made("mine", Loss(Settings, make), Settings(), *outputs())
