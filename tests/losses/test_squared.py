"""Imitation of features: values by hand, an adapter between widths, grids of different size."""

import pytest
import torch

from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.losses.squared import LOSS


def output(*maps):
    named = {f"p{level}": Feature(value, IMAGE) for level, value in enumerate(maps, start=3)}
    return Output(torch.zeros(1), "values", named)


def made(student, teacher, **settings):
    return LOSS.make(LOSS.settings(**settings), student, teacher)


def test_the_sum_over_levels_of_the_mean_over_entries():
    first, second = torch.tensor([[[[1.0, 2.0]], [[0.0, 4.0]]]]), torch.zeros(1, 2, 1, 1)
    student, teacher = output(first, second), output(first + torch.tensor([1.0, 3.0]), second - 2)
    assert made(student, teacher, pairs=["p3"])(student, teacher).item() == pytest.approx((1 + 9) / 2)
    assert made(student, teacher, pairs=["p3", "p4"])(student, teacher).item() == pytest.approx(5 + 4)


def test_mean_and_scale_matter_here():
    """Where a correlation would be content."""
    value = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    student, teacher = output(value), output(3 * value + 7)
    assert made(student, teacher, pairs=["p3"])(student, teacher).item() > 40


def test_a_narrow_student_learns_through_its_adapter():
    torch.manual_seed(0)
    student, teacher = output(torch.randn(2, 3, 4, 4, requires_grad=True)), output(torch.randn(2, 5, 8, 8))
    loss = made(student, teacher, pairs=["p3"])
    assert [tuple(value.shape) for value in loss.parameters()] == [(5, 3, 1)]
    loss(student, teacher).backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in loss.parameters())
