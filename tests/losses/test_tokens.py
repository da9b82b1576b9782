"""Losses on predictions of tokens: the other direction, and the likeliest ones with the rest in one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses import logits, reverse, top

TEACHER = torch.tensor([[[2.0, 1, 0, -1], [0, 0.5, -1, 1.5]]], dtype=torch.float64)
STUDENT = torch.tensor([[[1.0, 1, 0.5, 0], [0.2, 0, -0.5, 1]]], dtype=torch.float64)


def value(loss: Loss, student: Tensor = STUDENT, teacher: Tensor = TEACHER, **settings: float) -> float:
    pair = Output(student, "classes"), Output(teacher, "classes")
    found: Tensor = loss.make(loss.settings(**settings), *pair)(*pair)
    return float(found)


@pytest.mark.parametrize(("row", "forward", "backward", "first_two"), [(0, 0.2181395326, 0.2395824691, 0.2149991810)])
def test_the_first_token_by_itself(row: int, forward: float, backward: float, first_two: float) -> None:
    pair = STUDENT[:, row : row + 1], TEACHER[:, row : row + 1]
    assert value(logits.LOSS, *pair) == pytest.approx(forward, abs=1e-10)
    assert value(reverse.LOSS, *pair) == pytest.approx(backward, abs=1e-10)
    assert value(top.LOSS, *pair, count=2) == pytest.approx(first_two, abs=1e-10)


def test_tokens_count_alike_and_temperature_is_made_good() -> None:
    assert value(reverse.LOSS) == pytest.approx(0.1523284900, abs=1e-10)
    assert value(reverse.LOSS, temperature=2) == pytest.approx(0.1763293412, abs=1e-10)
    assert value(top.LOSS, count=2) == pytest.approx((0.2149991810 + 0.0543384266) / 2, abs=1e-10)


def test_the_rest_in_one_is_a_lower_bound_that_ends_at_all_of_them() -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 5, 12, generator=rng, dtype=torch.float64) for _ in range(2))
    found = [value(top.LOSS, student, teacher, count=count) for count in (1, 4, 9, 11, 50)]
    assert found == sorted(found)
    assert found[-2:] == pytest.approx([value(logits.LOSS, student, teacher)] * 2)


@pytest.mark.parametrize("loss", [reverse, top])
def test_values_are_refused(loss: object) -> None:
    output = Output(STUDENT, "values")
    with pytest.raises(UserError, match=r"^(reverse|top) compares softmaxes, of classes or candidates"):
        loss.LOSS.make(loss.LOSS.settings(), output, output)  # type: ignore[attr-defined]
