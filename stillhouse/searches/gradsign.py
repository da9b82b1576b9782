"""A training-free control: random architectures ranked by how far gradients agree in sign (GradSign, arXiv 2110.08616).

score = sum over weights k of | sum over samples i of sign(g_ik) |, for a fresh network

What a batch holds is not known here, so a sample is a whole batch: set the `batch_size` of the search's data to 1, and
`batches` to as many samples as wanted, for the published score. Norms are asked in evaluation mode, where a fresh one has mean 0
and variance 1, because one sample has no statistics. The score grows with the number of weights: within a band of
multiply-adds that can decide more than the signs do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.searches._rank import RankSettings, ranked, weight_gradients


class GradSignSettings(RankSettings):
    """How many networks are ranked, and by how many samples: `batches`."""


def score(problem: Problem[Any], model: nn.Module, batches: list[Any]) -> float:
    """The score of a fresh network; higher promises that the samples have a common optimum."""
    model.eval()
    total: list[Tensor] = []
    for batch in batches:
        signs = [gradient.sign() for gradient in weight_gradients(problem, model, batch)]
        total = [sum_ + sign for sum_, sign in zip(total, signs, strict=True)] if total else signs
    return sum(float(part.abs().sum()) for part in total)


def run(problem: Problem[Any], settings: GradSignSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial for each finalist of those ranked by how far gradients agree in sign. Raises UserError if the budget cannot be met."""
    yield from ranked(problem, settings, score, rng)


SEARCH = Search(GradSignSettings, run, shares=True)
