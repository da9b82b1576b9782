"""ND: published values, what changes nothing, and class means of a teacher from its training data to the loss."""

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.shown import Shown
from stillhouse.losses import nd

STATE = Layout(channel=1, positions=(), batch=0)


def output(value):
    value = torch.as_tensor(value, dtype=torch.float64)
    return Output(torch.zeros(len(value), 3, dtype=torch.float64), "classes", {"state": Feature(value, STATE)})


def shown(*label, means=((2.0, 0.0), (0.0, 1.0)), known=None):
    facts = {"class_means.state": torch.tensor(means)}
    return Shown(None, torch.tensor(label), torch.tensor(known or [True] * len(label)), facts=facts)


def value(student, teacher, seen):
    pair = output(student), output(teacher)
    return nd.LOSS.make(nd.LOSS.settings(pairs=["state"]), *pair, seen)(*pair, seen)


@pytest.mark.parametrize(
    ("student", "teacher", "expected", "slope"),
    [
        ([3.0, 4.0], [6.0, 8.0], 0.7, [-0.1, 0]),
        ([6.0, 8.0], [3.0, 4.0], 0.4, [-0.064, 0.048]),
        ([-6.0, 8.0], [3.0, 4.0], 1.6, None),
        ([20.0, 0.0], [3.0, 4.0], 0, None),
    ],
)
def test_one_row_by_hand(student, teacher, expected, slope):
    row = torch.tensor([student], dtype=torch.float64, requires_grad=True)
    found = value(row, [teacher], shown(0))
    assert found.item() == pytest.approx(expected, abs=1e-12)
    if slope:
        assert torch.autograd.grad(found, row)[0][0].tolist() == pytest.approx(slope, abs=1e-12)


def test_each_row_has_the_mean_of_its_own_class_at_any_length_and_the_unknown_count_nought():
    student, teacher = [[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]], [[6.0, 8.0]] * 3
    expected = (0.7 + 0.6) / 3
    for means in (((2.0, 0.0), (0.0, 1.0)), ((9.0, 0.0), (0.0, 0.1))):
        found = value(student, teacher, shown(0, 1, -1, means=means, known=[True, True, False]))
        assert found.item() == pytest.approx(expected, abs=1e-7)


def test_beyond_the_teachers_norm_only_the_direction_counts():
    first, second = (value([[scale * 3.0, scale * 4.0]], [[1.0, 1.0]], shown(0)).item() for scale in (1, 10))
    assert first == pytest.approx(second, abs=1e-12)


def test_what_it_misses_is_said():
    pair = output([[1.0, 2.0]]), output([[1.0, 2.0]])
    make = nd.LOSS.make
    settings = nd.LOSS.settings(pairs=["state"])
    with pytest.raises(UserError, match="nd wants the class of each row - this workload shows none"):
        make(settings, *pair, Shown())
    with pytest.raises(UserError, match=r"wants class_means\.state of the teacher - it has none"):
        make(settings, *pair, Shown(None, torch.tensor([0]), torch.tensor([True])))
    with pytest.raises(UserError, match=r"none of class 1"):
        make(settings, *pair, shown(0, means=((1.0, 0.0), (0.0, 0.0))))
