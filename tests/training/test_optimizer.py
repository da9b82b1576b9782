"""Optimisers without PyTorch's compiler, beside PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stillhouse.training.optimizer import OPTIMIZERS

OWN = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def trained(kind: Callable[..., torch.optim.Optimizer], steps: int = 5) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("name", OWN)
def test_makes_the_same_steps_and_the_same_state(name: str):
    (model, ours), (reference, theirs) = trained(OPTIMIZERS[name]), trained(OWN[name])
    assert torch.equal(model.weight, reference.weight)
    found, wanted = ours.state_dict(), theirs.state_dict()
    assert str(found) == str(wanted)
    ours.load_state_dict(wanted)
    assert isinstance(ours, OWN[name])
    assert not any(parameter.grad_fn for parameter in model.parameters()), "a step is no part of the gradient"


def test_hooks_of_a_step_are_called():
    _, optimizer = trained(OPTIMIZERS["sgd"])
    seen: list[str] = []
    optimizer.register_step_post_hook(lambda *_: seen.append("step"))
    optimizer.step()
    assert seen == ["step"]
