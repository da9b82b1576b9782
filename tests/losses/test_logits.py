"""Distillation of logits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.losses.logits import LOSS

SEEDS = st.integers(0, 2**31)


def value(student, teacher, temperature=1.0, meaning="classes"):
    pair = Output(student, meaning), Output(teacher, meaning)
    return LOSS.make(LOSS.settings(temperature=temperature), *pair)(*pair)


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def test_two_classes_by_hand():
    """The teacher holds 3/4 and 1/4, the student 1/2 and 1/2: 3/4 ln(3/2) + 1/4 ln(1/2)."""
    student = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    loss = value(student, teacher)
    assert loss.item() == pytest.approx(0.75 * math.log(1.5) - 0.25 * math.log(2), abs=1e-14)
    assert torch.autograd.grad(loss, student)[0].tolist() == [pytest.approx([-0.25, 0.25])]


def test_a_high_temperature_matches_centred_logits():
    """T^2 KL tends to half the mean squared difference of centred logits."""
    student, teacher = draw(0, 7, 5)
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    assert value(student, teacher, 1e4).item() == pytest.approx(difference.square().mean().item() / 2, rel=1e-4)


@given(seed=SEEDS, temperature=st.floats(0.2, 20))
def test_equals_an_independent_divergence(seed, temperature):
    student, teacher = draw(seed, 4, 6)
    rows = entropy((teacher / temperature).softmax(1).numpy(), (student / temperature).softmax(1).numpy(), axis=1)
    assert value(student, teacher, temperature).item() == pytest.approx(temperature**2 * rows.mean(), rel=1e-9, abs=1e-12)


@given(seed=SEEDS)
def test_a_constant_added_to_a_row_changes_nothing(seed):
    student, teacher = draw(seed, 4, 6)
    ours, theirs = (10 * shift for shift in draw(seed + 1, 4, 1))
    assert value(student + ours, teacher + theirs).item() == pytest.approx(value(student, teacher).item(), abs=1e-12)


def test_dense_classes_count_every_position_as_a_row():
    student, teacher = draw(0, 2, 3, 4, 5)
    assert value(student, teacher).item() == pytest.approx(value(student.view(24, 5), teacher.view(24, 5)).item(), rel=1e-12)


def test_large_scores_in_half_precision_stay_finite():
    student, teacher = (1e3 * scores.half() for scores in draw(0, 4, 6))
    assert value(student, teacher).isfinite()


def test_values_are_refused():
    scores = torch.zeros(3, 4)
    with pytest.raises(UserError, match=r"softmaxes.*\(3, 4\) are values.*features"):
        value(scores, scores, meaning="values")


def test_a_single_class_is_refused():
    with pytest.raises(UserError, match=r"at least two classes.*\(3, 1\)"):
        value(torch.zeros(3, 1), torch.zeros(3, 1))


def test_different_numbers_of_classes_are_refused():
    with pytest.raises(UserError, match=r"\(3, 4\).*\(3, 5\)"):
        value(torch.zeros(3, 4), torch.zeros(3, 5))


def test_different_meanings_are_refused():
    pair = Output(torch.zeros(3, 4), "classes"), Output(torch.zeros(3, 4), "candidates")
    with pytest.raises(UserError, match=r"classes.*candidates"):
        LOSS.make(LOSS.settings(), *pair)
