"""Elements with the least influence on the loss go: a first-order Taylor expansion over masks (arXiv 1906.10771, section 3.1).

importance = sum over batches of (dL / d mask)^2 at mask = 1

L is the task's loss of one batch. A mask stands before every layer that reads an element, so its gradient is the sum of activation
times gradient over all of them, or of weight times gradient over the weights that read it; that is what others call group Taylor.
The paper takes the mean over batches, which ranks alike. Networks are asked in evaluation mode, and batch norms take the statistics
of the network that is left after each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.searches._batches import batches
from stillhouse.searches._shrink import Scores, ShrinkSettings, shrunk
from stillhouse.space.blueprint import masked

if TYPE_CHECKING:
    from jaxtyping import Float


class TaylorSettings(ShrinkSettings):
    """In how many steps elements go, and from how many training batches they are scored each time."""

    batches: int = Field(16, gt=0)


def squared_gradients(problem: Problem[Any], model: nn.Module, masks: Scores, given: list[Any]) -> dict[str, Float[Tensor, " _"]]:
    """Group name -> (size,): the importance of each element; 0 for one whose mask the loss does not depend on."""
    model.eval()
    leaves = {name: mask.clone().requires_grad_() for name, mask in masks.items()}
    total = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    for batch in given:
        with masked(model, leaves):
            loss = problem.loss(problem.apply(model, batch), batch)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, found, strict=True):
            total[name] += 0 if gradient is None else gradient.square()
    return total


def run(problem: Problem[Any], settings: TaylorSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial. Raises UserError if the smallest network is above the budget."""

    def score(problem: Problem[Any], model: nn.Module, masks: Scores, rng: torch.Generator) -> Scores:
        return squared_gradients(problem, model, masks, batches(problem, settings.batches, rng, next(model.parameters()).device))

    yield from shrunk(problem, settings, score, rng)


SEARCH = Search(TaylorSettings, run)
