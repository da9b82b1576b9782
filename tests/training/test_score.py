"""Agreement of two models' predictions, and the batch that stands for all."""

import pytest
import torch

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.training.score import agreement, first_batch


def test_classes_agree_where_the_best_class_is_the_same():
    one = Output(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "classes")
    other = Output(torch.tensor([[5.0, 4.0], [1.0, 0.0]]), "classes")
    assert agreement(one, other).tolist() == [1.0, 0.0]


def test_values_agree_by_correlation():
    values = torch.tensor([1.0, 2.0, 4.0])
    assert agreement(Output(values, "values"), Output(3 * values + 1, "values")).item() == pytest.approx(1.0)
    assert agreement(Output(values, "values"), Output(-values, "values")).item() == pytest.approx(-1.0)


def test_data_without_a_batch_are_told():
    with pytest.raises(UserError, match="wanted a batch at least of each split - `draw` gives none"):
        first_batch(Batches(lambda rng: iter(()), 1), torch.device("cpu"))


def test_what_is_no_pass_is_told():
    with pytest.raises(UserError, match=r"wanted a pass of batches of `draw\(rng\)` - got a NoneType"):
        first_batch(Batches(lambda rng: None, 1), torch.device("cpu"))  # type: ignore[arg-type, return-value]
