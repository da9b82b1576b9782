"""PKD: closed-form values, invariances and the two ways to standardise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, NODES, Feature, Layout, Output
from stillhouse.losses.pearson import LOSS

SEEDS = st.integers(0, 2**31)
FORMS = ("exact", "reference")
ROWS = Layout(channel=1, positions=(), batch=0)


def output(value, layout=IMAGE):
    return Output(torch.zeros(()), "values", {"map": Feature(value, layout)})


def value(student, teacher, layout=IMAGE, **chosen):
    pair = output(student, layout), output(teacher, layout)
    return LOSS.make(LOSS.settings(pairs=["map"], **chosen), *pair)(*pair)


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def four(*numbers):
    return torch.tensor(numbers, dtype=torch.float64).view(1, 1, 1, 4)


@pytest.mark.parametrize(("form", "expected", "share"), [("exact", 0.017292370, 1), ("reference", 0.012969260, 0.75)])
def test_four_positions(form, expected, share):
    student, teacher = four(1, 2, 3, 4).requires_grad_(), four(1, 2, 3, 5)
    loss = value(student, teacher, form=form)
    gradient = torch.autograd.grad(loss, student)[0].flatten()
    assert loss.item() == pytest.approx(expected, abs=6e-10)
    assert gradient.tolist() == pytest.approx([share * entry for entry in (-0.030237, 0.015119, 0.060474, -0.045356)], abs=1.5e-6)
    assert 1 - value(student, teacher).item() == pytest.approx(0.982707630, abs=6e-10)


@pytest.mark.parametrize(("form", "share"), [("exact", 1), ("reference", 0.75)])
def test_proportional_opposed_and_orthogonal_maps(form, share):
    student = four(1, 2, 3, 4)
    assert value(student, 3 * student + 7, form=form).item() == pytest.approx(0, abs=1e-11)
    assert value(student, -student, form=form).item() == pytest.approx(2 * share, rel=2e-6)
    assert value(four(1, 1, -1, -1), four(1, -1, 1, -1), form=form).item() == pytest.approx(share, rel=2e-6)


@given(seed=SEEDS)
def test_positive_affine_maps_of_channels_change_nothing(seed):
    student, teacher = draw(seed, 2, 3, 4, 5)
    scale, shift = draw(seed + 1, 1, 3, 1, 1)
    expected = value(student, teacher).item()
    assert value(scale.exp() * student + shift, teacher).item() == pytest.approx(expected, rel=1e-10)
    assert value(student, scale.exp() * teacher + shift).item() == pytest.approx(expected, rel=1e-10)


@given(seed=SEEDS, form=st.sampled_from(FORMS))
def test_joint_orders_of_samples_and_of_channels_change_nothing(seed, form):
    student, teacher = draw(seed, 2, 3, 4, 5)
    rng = torch.Generator().manual_seed(seed)
    samples, channels = torch.randperm(40, generator=rng), torch.randperm(3, generator=rng)
    rows = (maps.movedim(1, 3).reshape(40, 3)[samples].view(2, 4, 5, 3).movedim(3, 1) for maps in (student, teacher))
    expected = pytest.approx(value(student, teacher, form=form).item(), rel=1e-12)
    assert value(*rows, form=form).item() == expected
    assert value(student[:, channels], teacher[:, channels], form=form).item() == expected


@given(seed=SEEDS, form=st.sampled_from(FORMS))
def test_student_and_teacher_are_exchangeable(seed, form):
    student, teacher = draw(seed, 2, 3, 4, 5)
    assert value(student, teacher, form=form).item() == value(teacher, student, form=form).item()


@given(seed=SEEDS, form=st.sampled_from(FORMS))
def test_the_gradient_pushes_on_neither_mean_nor_scale(seed, form):
    student, teacher = draw(seed, 2, 3, 4, 5)
    student.requires_grad_()
    gradient = torch.autograd.grad(value(student, teacher, form=form), student)[0]
    centred = student.detach() - student.detach().mean((0, 2, 3), keepdim=True)
    assert gradient.sum((0, 2, 3)).abs().max() < 1e-14
    assert (gradient * centred).sum((0, 2, 3)).abs().max() < (1e-14 if form == "exact" else 5e-6)


def test_the_gradient_is_the_derived_one():
    """(r s^ - t^) / (C n sigma), of the exact form."""
    student, teacher = draw(3, 2, 3, 4, 5)
    student.requires_grad_()
    gradient = torch.autograd.grad(value(student, teacher), student)[0]
    (ours, sigma), (theirs, _) = ((centred / spread, spread) for centred, spread in map(_spread, (student.detach(), teacher)))
    correlation = (ours * theirs).mean((0, 2, 3), keepdim=True)
    torch.testing.assert_close(gradient, (correlation * ours - theirs) / (3 * 40 * sigma), rtol=1e-10, atol=1e-14)


def _spread(maps):
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    return centred, centred.square().mean((0, 2, 3), keepdim=True).sqrt()


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_follows_finite_differences(form):
    student, teacher = draw(0, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda maps: value(maps, teacher, form=form), student.requires_grad_())


@given(seed=SEEDS)
def test_equals_an_independent_correlation(seed):
    student, teacher = draw(seed, 2, 3, 4, 5)
    samples = (maps.movedim(1, 0).flatten(1).numpy() for maps in (student, teacher))
    expected = np.mean([1 - np.corrcoef(ours, theirs)[0, 1] for ours, theirs in zip(*samples, strict=True)])
    assert value(student, teacher).item() == pytest.approx(expected, abs=1e-12)
    assert value(student, teacher, form="reference").item() == pytest.approx(expected * 39 / 40, abs=1e-5)


def test_statistics_pool_over_the_batch():
    student, teacher = draw(0, 2, 3, 4, 5)
    apart = [value(student[[image]], teacher[[image]]).item() for image in (0, 1)]
    assert abs(value(student, teacher).item() - sum(apart) / 2) > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(4, 4), (2, 4)], ids=["both", "width alone"])
def test_grids_of_different_sizes(size, form):
    small, large = (maps[0] for maps in (draw(0, 2, 256, 2, 2), draw(1, 2, 256, *size)))
    grown = interpolate(small, size, mode="bilinear", align_corners=False)
    shrunk = interpolate(large, (2, 2), mode="bilinear", align_corners=False)
    assert value(small, large, form=form).item() == pytest.approx(value(grown, large, form=form).item(), rel=1e-12)
    assert value(large, small, form=form).item() == pytest.approx(value(shrunk, small, form=form).item(), rel=1e-12)
    assert value(small, large, form=form, resize="teacher").item() == pytest.approx(value(small, shrunk, form=form).item(), rel=1e-12)


def test_different_channel_counts_go_through_an_adapter():
    student, teacher = draw(0, 2, 3, 4, 4)[0], draw(1, 2, 5, 4, 4)[0]
    pair = output(student), output(teacher)
    loss = LOSS.make(LOSS.settings(pairs=["map"]), *pair)
    (weight,) = loss.parameters()
    mapped = torch.einsum("ts,bshw->bthw", weight[:, :, 0], student)
    assert loss(*pair).item() == pytest.approx(value(mapped, teacher).item(), rel=1e-12)


@pytest.mark.parametrize(("form", "alone"), [("exact", 0.5), ("reference", 0.375)])
def test_a_constant_teacher_channel_teaches_nothing(form, alone):
    student = four(1, 2, 3, 4).requires_grad_()
    loss = value(student, four(2, 2, 2, 2), form=form)
    assert loss.item() == pytest.approx(alone, rel=2e-6)
    assert torch.autograd.grad(loss, student)[0].abs().max() < 1e-6
    assert value(four(3, 3, 3, 3), four(2, 2, 2, 2), form=form).item() == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_dead_student_channel_gets_a_finite_gradient(form):
    student = four(3, 3, 3, 3).requires_grad_()
    assert torch.autograd.grad(value(student, four(1, 2, 3, 5), form=form), student)[0].isfinite().all()


def test_the_floor_bounds_the_gradient_of_a_nearly_dead_student_channel():
    student = (1e-7 * four(1, 2, 4, 3)).requires_grad_()
    teacher = four(1, 2, 3, 5)

    def steepest(**chosen):
        return torch.autograd.grad(value(student, teacher, **chosen), student)[0].abs().max().item()

    assert steepest(floor=1e-12) > 1e6
    assert steepest(form="reference") > 1e5
    assert steepest() < 2 / (4 * 1e-4)
    assert steepest(floor=1e-2) < 2 / (4 * 1e-2)


def test_above_its_floor_the_exact_form_is_exact():
    student, teacher = draw(0, 2, 3, 4, 5)
    assert value(1e-3 * student, teacher).item() == pytest.approx(value(student, teacher).item(), rel=1e-10)


def test_large_half_precision_maps_keep_single_precision():
    student, teacher = (maps.half() for maps in draw(0, 2, 3, 100, 160))
    shifted = (30 * student + 100).half()
    assert value(shifted, teacher).item() == pytest.approx(value(shifted.double(), teacher.double()).item(), rel=1e-6)


def test_nodes_and_rows_and_sequences_are_samples_too():
    student, teacher = draw(0, 12, 3)
    expected = pytest.approx(value(student.t().reshape(1, 3, 3, 4), teacher.t().reshape(1, 3, 3, 4)).item(), rel=1e-12)
    sequences = (maps.view(4, 3, 3) for maps in (student, teacher))
    assert value(student, teacher, NODES).item() == expected
    assert value(student, teacher, ROWS).item() == expected
    assert value(*sequences, Layout(channel=2, positions=(1,), batch=0)).item() == expected


def test_pairs_add_up():
    student, teacher = ({"a": draw(seed, 2, 3, 4, 4)[0], "b": draw(seed + 1, 2, 5, 2, 2)[0]} for seed in (0, 2))
    pair = [Output(torch.zeros(()), "values", {name: Feature(maps, IMAGE) for name, maps in one.items()}) for one in (student, teacher)]
    both = LOSS.make(LOSS.settings(pairs=["a", {"student": "b", "teacher": "b"}]), *pair)(*pair)
    assert both.item() == pytest.approx(sum(value(student[name], teacher[name]).item() for name in "ab"), rel=1e-12)


def test_one_sample_has_no_correlation():
    with pytest.raises(UserError, match=r"two samples.*\(1, 3, 1\)"):
        value(torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 1))


@pytest.mark.parametrize("form", FORMS)
def test_a_last_batch_of_one_sample_is_worth_nothing(form):
    pair = output(torch.rand(2, 3), ROWS), output(torch.rand(2, 3), ROWS)
    loss = LOSS.make(LOSS.settings(pairs=["map"], form=form), *pair)
    single = torch.rand(1, 3, requires_grad=True)
    last = loss(output(single, ROWS), output(torch.rand(1, 3), ROWS))
    assert last.item() == 0
    assert torch.autograd.grad(last, single)[0].abs().max() == 0
