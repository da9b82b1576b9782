"""Distillation of score gaps."""

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.losses.margin import LOSS

SEEDS = st.integers(0, 2**31)


def value(student, teacher, meaning="candidates", **chosen):
    pair = Output(student, meaning), Output(teacher, meaning)
    return LOSS.make(LOSS.settings(**chosen), *pair)(*pair)


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def test_two_queries_by_hand():
    """Gaps of the student 1, 2 and 0, 1; of the teacher 1, 4 and 1, 1: (0 + 4 + 1 + 0) / 4."""
    student = torch.tensor([[3.0, 2.0, 1.0], [5.0, 5.0, 4.0]])
    teacher = torch.tensor([[0.0, -1.0, -4.0], [2.0, 1.0, 1.0]])
    assert value(student, teacher).item() == 1.25


def test_in_batch_by_hand():
    """With e = student - teacher = [[1, 0], [3, 5]]: pairs (1 + 4) / 2; across ((1-3)^2 + (1-5)^2 + (3-1)^2 + (3-0)^2) / 4."""
    excess = torch.tensor([[1.0, 0.0], [3.0, 5.0]])
    assert value(excess, torch.zeros(2, 2), in_batch=True).item() == 2.5 + 0.75 * 33 / 4


@given(seed=SEEDS, weight=st.floats(0.1, 2))
def test_in_batch_equals_its_triple_loop(seed, weight):
    student, teacher = draw(seed, 4, 3)
    terms = [
        ((student[i, 0] - student[j, k]) - (teacher[i, 0] - teacher[j, k])).item() ** 2
        for i, j, k in itertools.product(range(4), range(4), range(3))
        if i != j
    ]
    expected = value(student, teacher).item() + weight * sum(terms) / len(terms)
    assert value(student, teacher, in_batch=True, in_batch_weight=weight).item() == pytest.approx(expected, rel=1e-12)


@given(seed=SEEDS)
def test_a_shifted_scale_changes_nothing(seed):
    """Each query's scores may be shifted; across queries only all of them together."""
    student, teacher = draw(seed, 4, 3)
    ours, theirs = (10 * shift for shift in draw(seed + 1, 4, 1))
    assert value(student + ours, teacher + theirs).item() == pytest.approx(value(student, teacher).item(), rel=1e-9)
    together = value(student + 7, teacher - 5, in_batch=True).item()
    assert together == pytest.approx(value(student, teacher, in_batch=True).item(), rel=1e-9)


@given(seed=SEEDS)
def test_the_order_of_negatives_and_of_queries_changes_nothing(seed):
    student, teacher = draw(seed, 4, 5)
    rows, columns = torch.tensor([2, 0, 3, 1]), torch.tensor([0, 3, 1, 4, 2])
    shuffled = (scores[rows][:, columns] for scores in (student, teacher))
    assert value(*shuffled, in_batch=True).item() == pytest.approx(value(student, teacher, in_batch=True).item(), rel=1e-12)


def test_in_batch_gradient_follows_finite_differences():
    student, teacher = draw(0, 3, 4)
    assert torch.autograd.gradcheck(lambda scores: value(scores, teacher, in_batch=True), student.requires_grad_())


def test_a_batch_of_one_query_has_no_other_items():
    student, teacher = draw(0, 1, 4)
    assert value(student, teacher, in_batch=True).item() == value(student, teacher).item()


@pytest.mark.parametrize("meaning", ["classes", "values"])
def test_only_candidates_have_a_true_answer_in_column_0(meaning):
    with pytest.raises(UserError, match=rf"column 0, got {meaning} \(3, 4\)"):
        value(torch.zeros(3, 4), torch.zeros(3, 4), meaning)


@pytest.mark.parametrize("shape", [(3, 1), (3, 4, 2)])
def test_candidates_are_rows_with_a_negative(shape):
    with pytest.raises(UserError, match=rf"2 or more.*got candidates {re.escape(str(shape))}"):
        value(torch.zeros(shape), torch.zeros(shape))


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        LOSS.settings(in_batch=True, in_batch_weight=0)
