"""A training-free control: random architectures ranked by how steady the gradients of a fresh network are (ZiCo, arXiv 2301.11300).

score = sum over tensors l of weights of log( sum over w in l of mean|g_w| / std|g_w| ), over a few training batches

A weight whose gradient has no deviation has no ratio and is left out; a tensor of such weights adds nothing. Known from the
paper is this formula; where it is silent, or its release could not be compared, the choice is ours: the deviation is that
of the absolute gradients around their mean and divides by the number of batches (another convention multiplies every ratio
by one factor, so networks of different depth move against each other, and only those); norms use the statistics of each batch,
as in training; and every tensor of weights counts as a layer, in whichever kind of network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.searches._rank import RankSettings, ranked, weight_gradients

if TYPE_CHECKING:
    from jaxtyping import Float


class ZicoSettings(RankSettings):
    """How many networks are ranked, and by how many batches: two, as in the paper."""


def score(problem: Problem[Any], model: nn.Module, batches: list[Any]) -> float:
    """The score of a fresh network; higher promises faster training."""
    model.train()
    by_batch = [weight_gradients(problem, model, batch) for batch in batches]
    return sum(steadiness(torch.stack(gradients)) for gradients in zip(*by_batch, strict=True))


def steadiness(gradients: Float[Tensor, " batches *weights"]) -> float:
    """(batches, ...) of one tensor of weights -> its term of the sum."""
    size = gradients.double().abs()
    mean, deviation = size.mean(0), size.std(0, correction=0)
    ratios = mean[deviation > 0] / deviation[deviation > 0]
    return float(ratios.sum().log()) if ratios.numel() else 0.0


def run(problem: Problem[Any], settings: ZicoSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial for each finalist of those ranked by how steady gradients are. Raises UserError if the budget cannot be met."""
    yield from ranked(problem, settings, score, rng)


SEARCH = Search(ZicoSettings, run, shares=True)
