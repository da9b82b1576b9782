from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.searches._rank import weight_gradients
from stillhouse.searches.zico import score, steadiness
from tests.searches import toy

TOY = {"candidates": 5, "finalists": 3, "band": 0.1}
"""Settings for the toy problems of the family's tests."""


def naive(gradients: list[list[float]]) -> float:
    """Weight by weight: (batches, weights) -> log of the sum of mean / standard deviation of the absolute values."""
    total = 0.0
    for weight in zip(*gradients, strict=True):
        sizes = [abs(value) for value in weight]
        mean = sum(sizes) / len(sizes)
        deviation = math.sqrt(sum((size - mean) ** 2 for size in sizes) / len(sizes))
        total += mean / deviation if deviation else 0.0
    return math.log(total) if total else 0.0


def batches(count: int) -> list[Any]:
    return list(toy.deep_problem().data.train.draw(torch.Generator()))[:count]


def test_by_hand() -> None:
    """|g| = (1, 3): mean 2, deviation 1; |g| = (2, 2): left out; |g| = (0, 4): mean 2, deviation 2."""
    assert steadiness(torch.tensor([[1.0, -2.0, 0.0], [-3.0, 2.0, 4.0]])) == pytest.approx(math.log(2 + 1))


@pytest.mark.parametrize("count", [2, 5])
def test_it_is_the_formula_weight_by_weight(count: int) -> None:
    gradients = torch.randn(count, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients[:, 1, 2] = 0
    assert steadiness(gradients) == pytest.approx(naive(gradients.flatten(1).tolist()), rel=1e-12)
    assert steadiness(1e-3 * gradients) == pytest.approx(steadiness(gradients), rel=1e-12)


def test_a_tensor_without_deviation_adds_nothing() -> None:
    assert steadiness(torch.ones(3, 4)) == steadiness(torch.zeros(3, 4)) == 0.0


def test_a_network_is_the_sum_of_its_tensors() -> None:
    torch.manual_seed(0)
    problem = toy.deep_problem()
    model = problem.supernet()
    wanted: list[list[Tensor]] = [weight_gradients(problem, model.train(), batch) for batch in batches(3)]
    terms = [naive([part.flatten().tolist() for part in parts]) for parts in zip(*wanted, strict=True)]
    assert len(terms) == 10
    assert score(problem, model, batches(3)) == pytest.approx(sum(terms), rel=1e-6)
