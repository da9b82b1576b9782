"""Distillation of values."""

import torch

from stillhouse.contracts.output import Output
from stillhouse.losses.regression import LOSS


def distance(student, teacher, **settings):
    ours, theirs = (Output(torch.tensor(value), "values") for value in (student, teacher))
    return LOSS.make(LOSS.settings(**settings), ours, theirs)(ours, theirs).item()


def test_the_square_and_the_absolute_difference_by_hand():
    assert distance([[1.0], [2.0]], [[0.0], [4.0]]) == 2.5
    assert distance([[1.0], [2.0]], [[0.0], [4.0]], absolute=True) == 1.5
