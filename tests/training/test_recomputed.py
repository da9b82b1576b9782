"""Activation checkpointing: the same gradients for less memory, whatever is in a network meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import groups_of, masked
from stillhouse.space.trace import traced
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.recomputed import recomputed
from tests.space.networks import Mixed
from tests.workloads.text import models

TOKEN = torch.randint(60, (4, 16), generator=torch.Generator().manual_seed(0))


class Noisy(nn.Module):
    """A residual block that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(6, 12), nn.Linear(12, 6), nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        return rows + self.second(self.drop(self.first(rows).relu()))


def gradients(model: nn.Module, given: Any, *, again: bool, soft: bool) -> list[Tensor]:
    """Of all weights and, where there are some, of the masks; the backward pass comes after the masks are gone."""
    model.train().zero_grad()
    torch.manual_seed(1)
    masks = {group.name: torch.linspace(0.3, 0.9, group.size).requires_grad_() for group in groups_of(model)}
    with masked(model, masks if soft else {}):
        if again:
            with recomputed(model):
                loss = value(model(*given)).square().mean()
        else:
            loss = value(model(*given)).square().mean()
    loss.backward()
    return [tensor.grad for tensor in (*model.parameters(), *masks.values()) if tensor.grad is not None]


def value(returned: Any) -> Tensor:
    found: Tensor = getattr(returned, "prediction", returned)
    return found


def made(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    if name == "declared":
        return Mixed(), (torch.arange(6), torch.randn(6, 4))
    if name == "noisy":
        rows = torch.randn(5, 6)
        return traced(nn.Sequential(Noisy(), Noisy(), nn.Linear(6, 2)), (rows,)), (rows,)
    return models.build(models.LANGUAGE[name]), (TOKEN,)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2", "noisy", "declared"])
def test_gradients_are_the_same(name: str, soft: bool) -> None:
    model, given = made(name)
    wanted = [grad.clone() for grad in gradients(model, given, again=False, soft=soft)]
    names = list(dict(model.named_parameters()))
    found = gradients(model, given, again=True, soft=soft)
    assert len(wanted) == len(found) > len(names) - 3
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-8)
    assert list(dict(model.named_parameters())) == names
    assert not any("forward" in vars(module) for module in model.modules())


def test_what_is_held_for_the_gradient_is_less() -> None:
    model = models.build(models.LANGUAGE["llama"]).train()

    def held(again: bool) -> int:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            if again:
                with recomputed(model):
                    loss = model(TOKEN).prediction.mean()
            else:
                loss = model(TOKEN).prediction.mean()
        loss.backward()
        return sum(event.self_cpu_memory_usage for event in seen.key_averages())

    assert held(True) < 0.5 * held(False)


def test_a_training_says_what_it_wants_and_why_it_cannot_have_it() -> None:
    with pytest.raises(ValidationError, match="compile and checkpointing should not both be true"):
        FitSettings(epochs=1, learning_rate=0.1, compile=True, checkpointing=True)
    assert "checkpointing" not in FitSettings(epochs=1, learning_rate=0.1).model_dump()
    with pytest.raises(UserError, match=r"^fit.checkpointing - wanted a network of residual blocks, .* this one has none: leave it out"):
        trained(nn.Linear(3, 1), torch.ones(2, 3))
    blocks = nn.ModuleList([nn.BatchNorm1d(3)])
    blocks[0].depth = ("blocks", 0)  # type: ignore[assignment]
    with pytest.raises(UserError, match="0 has a batch norm, which would count each batch twice"):
        trained(blocks, torch.ones(2, 3))


def test_a_training_computes_its_blocks_once_more() -> None:
    model, (rows,) = made("noisy")
    calls: list[str] = []
    inner: Any = next(module for module in model.modules() if isinstance(module, Noisy))
    inner.first.register_forward_hook(lambda *_: calls.append("first"))
    trained(model, rows)
    assert len(calls) == 2


def trained(model: nn.Module, rows: Tensor) -> None:
    settings = FitSettings(epochs=1, learning_rate=1e-3, checkpointing=True)
    list(fit(model, lambda batch: model(batch).mean(), Batches(lambda rng: iter([rows]), 1), settings, torch.Generator()))
