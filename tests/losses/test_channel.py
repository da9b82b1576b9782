"""CWD: closed-form values, invariances, the normaliser and dense predictions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import nn
from torch.nn.functional import interpolate

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, NODES, Feature, Layout, Output
from stillhouse.losses.channel import LOSS

SEEDS = st.integers(0, 2**31)


def output(value, layout=IMAGE):
    return Output(torch.zeros(()), "values", {"map": Feature(value, layout)})


def value(student, teacher, temperature=1.0, layout=IMAGE, **chosen):
    pair = output(student, layout), output(teacher, layout)
    return LOSS.make(LOSS.settings(pairs=["map"], temperature=temperature, **chosen), *pair)(*pair)


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize(
    ("temperature", "expected", "slope"),
    [(1, 0.130812, 0.25), (2, 0.145363, 0.267949), (4, 0.149458, None), (1e4, 0.150869, None)],
)
def test_two_positions(temperature, expected, slope):
    student = torch.zeros(1, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([math.log(3), 0.0], dtype=torch.float64).view(1, 1, 1, 2)
    loss = value(student, teacher, temperature)
    assert loss.item() == pytest.approx(expected, abs=6e-7)
    if slope:
        assert torch.autograd.grad(loss, student)[0].flatten().tolist() == pytest.approx([-slope, slope], abs=6e-7)


def test_the_limit_of_a_high_temperature():
    teacher = torch.tensor([math.log(3), 0.0], dtype=torch.float64).view(1, 1, 1, 2)
    assert value(torch.zeros_like(teacher), teacher, 1e4).item() == pytest.approx(math.log(3) ** 2 / 8, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("temperature", "tolerance"), [(1e3, 2e-4), (1e4, 2e-5)])
def test_a_high_temperature_compares_centred_maps(seed, temperature, tolerance):
    """It tends to half their mean squared difference, and what is left falls like 1 / T."""
    student, teacher = draw(seed, 1, 6, 4, 5)
    difference = (student - student.mean((2, 3), keepdim=True)) - (teacher - teacher.mean((2, 3), keepdim=True))
    assert value(student, teacher, temperature).item() == pytest.approx(difference.square().mean().item() / 2, rel=tolerance)


@given(seed=SEEDS, temperature=st.floats(0.5, 10))
def test_constants_of_channels_change_nothing_and_scale_does(seed, temperature):
    student, teacher = draw(seed, 2, 3, 4, 5)
    ours, theirs = draw(seed + 1, 2, 3, 1, 1)
    loss = value(student, teacher, temperature).item()
    assert loss > 0
    assert value(student + ours, teacher + theirs, temperature).item() == pytest.approx(loss, abs=1e-12)
    assert value(2 * student, teacher, temperature).item() != pytest.approx(loss, rel=1e-3)


@given(seed=SEEDS, temperature=st.floats(0.5, 10))
def test_the_divergence_is_the_teachers_from_the_student(seed, temperature):
    student, teacher = draw(seed, 2, 3, 4, 5)
    rows = [(maps / temperature).flatten(2).softmax(2).view(6, 20).numpy() for maps in (teacher, student)]
    expected = temperature**2 * entropy(*rows, axis=1).mean()
    assert value(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_student_and_teacher_are_not_exchangeable():
    student, teacher = draw(0, 2, 3, 4, 5)
    assert value(student, teacher).item() != pytest.approx(value(teacher, student).item(), rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 4])
def test_the_gradient_is_the_derived_one(temperature):
    """T (softmax student - softmax teacher) / (C B), which sums to zero over each channel's positions."""
    student, teacher = draw(0, 2, 3, 4, 5)
    student.requires_grad_()
    gradient = torch.autograd.grad(value(student, teacher, temperature), student)[0].flatten(2)
    ours, theirs = ((maps.detach().flatten(2) / temperature).softmax(2) for maps in (student, teacher))
    torch.testing.assert_close(gradient, temperature * (ours - theirs) / 6, rtol=1e-10, atol=1e-14)
    assert gradient.sum(2).abs().max() < 1e-15


def test_the_gradient_follows_finite_differences():
    student, teacher = draw(0, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda maps: value(maps, teacher, 2), student.requires_grad_())


@given(seed=SEEDS)
def test_the_loss_is_a_mean_over_batch_and_channels(seed):
    student, teacher = draw(seed, 2, 3, 4, 5)
    expected = pytest.approx(value(student, teacher).item(), rel=1e-12)
    for axis in (0, 1):
        assert value(torch.cat([student, student], axis), torch.cat([teacher, teacher], axis)).item() == expected


@given(seed=SEEDS)
def test_only_a_joint_order_of_positions_changes_nothing(seed):
    student, teacher = draw(seed, 2, 3, 4, 5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed)).roll(1)
    ours, theirs = (maps.flatten(2)[..., order].view_as(maps) for maps in (student, teacher))
    loss = value(student, teacher).item()
    assert value(ours, theirs).item() == pytest.approx(loss, rel=1e-12)
    assert value(ours, teacher).item() != pytest.approx(loss, rel=1e-9)


def test_large_half_precision_maps_stay_finite():
    student, teacher = ((1e3 * maps).half() for maps in draw(0, 2, 3, 16, 16))
    student.requires_grad_()
    loss = value(student, teacher)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_an_adapter_is_trained_and_stays_out_of_the_student():
    network = nn.Conv2d(3, 4, 1)
    names = set(network.state_dict())
    images, teacher = torch.rand(2, 3, 4, 4), torch.rand(2, 6, 4, 4)
    loss = LOSS.make(LOSS.settings(pairs=["map"]), output(network(images)), output(teacher))
    loss(output(network(images)), output(teacher)).backward()
    (weight,) = loss.parameters()
    assert weight.shape == (6, 4, 1)
    assert weight.grad.abs().max() > 0
    assert network.weight.grad.abs().max() > 0
    assert set(network.state_dict()) == names


def test_with_an_adapter_the_mean_is_over_the_teachers_channels():
    student, teacher = draw(0, 2, 3, 4, 4)[0], draw(1, 2, 5, 4, 4)[0]
    pair = output(student), output(teacher)
    loss = LOSS.make(LOSS.settings(pairs=["map"], temperature=2), *pair)
    (weight,) = loss.parameters()
    rows = [
        (maps.detach() / 2).flatten(2).softmax(2).view(10, 16).numpy()
        for maps in (teacher, torch.einsum("ts,bshw->bthw", weight[:, :, 0], student))
    ]
    assert loss(*pair).item() == pytest.approx(4 * entropy(*rows, axis=1).sum() / (2 * 5), rel=1e-9)


def test_grids_of_different_sizes():
    small, large = draw(0, 2, 3, 2, 3)[0], draw(1, 2, 3, 4, 6)[0]
    grown = interpolate(small, (4, 6), mode="bilinear", align_corners=False)
    shrunk = interpolate(large, (2, 3), mode="bilinear", align_corners=False)
    assert value(small, large).item() == pytest.approx(value(grown, large).item(), rel=1e-12)
    assert value(small, large, resize="teacher").item() == pytest.approx(value(small, shrunk).item(), rel=1e-12)


def test_the_nodes_of_a_graph_are_positions_of_one_sample():
    student, teacher = draw(0, 12, 3)
    images = (maps.t().reshape(1, 3, 3, 4) for maps in (student, teacher))
    assert value(student, teacher, layout=NODES).item() == pytest.approx(value(*images).item(), rel=1e-12)


def test_sequences_have_one_axis_of_positions():
    student, teacher = draw(0, 2, 7, 3)
    images = (maps.transpose(1, 2).unsqueeze(2) for maps in (student, teacher))
    layout = Layout(channel=2, positions=(1,), batch=0)
    assert value(student, teacher, layout=layout).item() == pytest.approx(value(*images).item(), rel=1e-12)


def dense(scores, meaning="classes", **features):
    return Output(scores, meaning, features)


def predicted(student, teacher):
    return LOSS.make(LOSS.settings(pairs=["prediction"], temperature=1), student, teacher)(student, teacher)


def test_a_dense_prediction_has_its_classes_last():
    student, teacher = draw(0, 2, 4, 5, 3)
    expected = value(student.movedim(3, 1), teacher.movedim(3, 1)).item()
    assert predicted(dense(student), dense(teacher)).item() == pytest.approx(expected, rel=1e-12)


def test_a_feature_named_prediction_brings_its_own_layout():
    student, teacher = draw(0, 12, 3)
    ours, theirs = (dense(scores, prediction=Feature(scores, NODES)) for scores in (student, teacher))
    assert predicted(ours, theirs).item() == pytest.approx(value(student, teacher, layout=NODES).item(), rel=1e-12)


def test_a_prediction_without_positions_is_refused():
    with pytest.raises(UserError, match=r"at least two positions.*\(12, 3, 1\)"):
        predicted(dense(torch.zeros(12, 3)), dense(torch.zeros(12, 3)))


@pytest.mark.parametrize("meaning", ["candidates", "values"])
def test_a_prediction_without_classes_is_refused(meaning):
    scores = dense(torch.zeros(4, 3, 2), meaning, trunk=Feature(torch.zeros(4, 2), NODES))
    with pytest.raises(UserError, match=rf"student's prediction \(4, 3, 2\) of {meaning}.*trunk"):
        predicted(scores, scores)


def test_predictions_of_different_classes_are_refused():
    with pytest.raises(UserError, match=r"\(2, 4, 5, 3\).*\(2, 4, 5, 6\).*classes"):
        predicted(dense(torch.zeros(2, 4, 5, 3)), dense(torch.zeros(2, 4, 5, 6)))
