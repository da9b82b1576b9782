"""The area under the curve: a value worked out by hand, ties, order, and what has one class alone."""

from __future__ import annotations

import pytest
import torch

from stillhouse.workloads.graphs._shared.roc_auc import roc_auc


def test_how_often_a_positive_row_is_above_a_negative_one() -> None:
    value, positive = torch.tensor([0.1, 0.4, 0.4, 0.8, 0.3, 0.2]), torch.tensor([0, 0, 1, 1, 0, 1]) == 1
    assert roc_auc(value, positive) == pytest.approx(6.5 / 9)
    assert roc_auc(-value, positive) == pytest.approx(2.5 / 9)
    assert roc_auc(value.exp(), positive) == roc_auc(value, positive)
    assert roc_auc(torch.zeros(6), positive) == 0.5
    assert roc_auc(value, torch.ones(6, dtype=torch.bool)) == 0.5
