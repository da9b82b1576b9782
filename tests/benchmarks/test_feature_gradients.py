"""The benchmark of feature losses: shares of a gradient, and what a loss keeps for it."""

from __future__ import annotations

import pytest
import torch

from benchmarks import feature_gradients


def test_the_strongest_tenth_of_channels() -> None:
    assert feature_gradients._strongest(torch.ones(20)) == pytest.approx(0.1)
    assert feature_gradients._strongest(torch.tensor([1.0] + 19 * [0.0])) == 1


def kept(method: str, side: int) -> float:
    student, teacher = (torch.randn(1, 3, side, side, requires_grad=value) for value in (True, False))
    term = feature_gradients._term(feature_gradients.settings["costs"][method], student, teacher)
    return feature_gradients._kept(term, student, teacher)


def test_what_is_kept_grows_with_the_positions_or_with_their_square() -> None:
    assert kept("channel", 32) == pytest.approx(4 * kept("channel", 16), rel=0.01)
    square = 32**4 * 4 / 2**20
    assert square < kept("pairwise", 32) < 3 * square
    assert kept("pairwise, pooled by 2", 32) < kept("pairwise", 32) / 8
