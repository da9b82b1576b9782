"""Losses on which positions matter or are alike: published values, what changes nothing, formulas read aloud."""

import math

import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, NODES, Feature, Layout, Output
from stillhouse.losses import attention, cirkd, mgd, pairwise


def output(value, layout=IMAGE):
    return Output(torch.zeros(()), "values", {"map": Feature(value, layout)})


def value(part, student, teacher, layout=IMAGE, **settings):
    pair = output(student, layout), output(teacher, layout)
    return part.LOSS.make(part.LOSS.settings(pairs=["map"], **settings), *pair)(*pair)


def maps(*channels):
    """One sample with one row of positions: (1, channel, 1, width)."""
    return torch.tensor(channels, dtype=torch.float64)[None, :, None]


def points(*positions):
    """The same, position by position."""
    return maps(*positions).transpose(1, 3).contiguous()


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def turned(value, seed=5):
    """Channels turned by one orthogonal map."""
    turn = torch.linalg.qr(draw(seed, value.shape[1], value.shape[1])[0]).Q
    return torch.einsum("ij,bjhw->bihw", turn, value)


def near(expected, tolerance=1e-9):
    return pytest.approx(expected, abs=tolerance)


PARTS = {"attention": (attention, {}), "pairwise": (pairwise, {"pool": 1}), "cirkd": (cirkd, {"pool": 1, "temperature": 1.0})}
"""Those that compare no channels."""


@pytest.fixture(params=sorted(PARTS))
def distance(request):
    part, settings = PARTS[request.param]
    return lambda *pair: value(part, *pair, **settings).item()


def test_channels_may_turn_and_differ_in_number(distance):
    student, teacher = draw(0, 2, 4, 3, 5)
    expected = near(distance(student, teacher), 1e-12)
    assert distance(turned(student), turned(teacher, 6)) == expected
    assert distance(student, torch.cat([teacher, torch.zeros_like(teacher)], 1)) == expected


def test_the_scale_of_a_sample_is_nothing_and_joint_orders_of_samples_and_positions_are(distance):
    student, teacher = draw(0, 2, 4, 3, 5)
    expected = near(distance(student, teacher), 1e-12)
    scale = torch.tensor([2.0, 0.5]).view(2, 1, 1, 1)
    assert distance(scale * student, teacher / scale) == expected
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    moved = [one.flip(0).flatten(2)[..., order].view_as(one) for one in (student, teacher)]
    assert distance(*moved) == expected
    assert distance(moved[0], teacher) != pytest.approx(expected.expected, rel=1e-6)


def test_none_has_parameters_or_a_gradient_that_is_not_finite_at_dead_maps():
    for part, settings in PARTS.values():
        student, teacher = output(torch.zeros(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)), output(draw(0, 2, 6, 2, 3)[0])
        loss = part.LOSS.make(part.LOSS.settings(pairs=["map"], **settings), student, teacher)
        loss(student, teacher).backward()
        assert student.features["map"].value.grad.isfinite().all()
        assert not list(loss.parameters())


# --- attention ---


def test_attention_by_hand():
    """(1, 2) and (2, 1), each over the square root of 5."""
    student, teacher = maps([1, math.sqrt(2)], [0, 0]), maps([1, 1], [1, 0])
    assert value(attention, student, teacher).item() == near(0.2)


def test_attention_reads_aloud():
    student, teacher = draw(0, 2, 3, 2, 4)
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        first, second = ((one**2).sum(0).flatten() for one in (ours, theirs))
        total += ((first / first.norm() - second / second.norm()) ** 2).sum() / 8
    assert value(attention, student, teacher).item() == near(total.item() / 2, 1e-14)


def test_attention_wants_positions():
    with pytest.raises(UserError, match=r"two positions.*\(3, 4, 1\)"):
        value(attention, *draw(0, 3, 4), Layout(channel=1, positions=(), batch=0))


# --- pairwise ---


def test_pairwise_by_hand():
    assert value(pairwise, points([1, 0], [0, 1]), points([1, 0], [1, 0]), pool=1).item() == near(0.5)
    assert value(pairwise, points([3, 4], [4, -3]), points([1, 1], [0, 1]), pool=1).item() == near(0.25)


def test_pairwise_reads_aloud_after_its_pooling():
    student, teacher = draw(0, 2, 3, 5, 4)
    total = 0.0
    for ours, theirs in zip(max_pool2d(student, 2, ceil_mode=True), max_pool2d(teacher, 2, ceil_mode=True), strict=True):
        ours, theirs = ours.flatten(1).T, theirs.flatten(1).T
        for i in range(6):
            for j in range(6):
                first, second = ((one[i] @ one[j]) / (one[i].norm() * one[j].norm()) for one in (ours, theirs))
                total += (first - second) ** 2 / 36
    assert value(pairwise, student, teacher).item() == near(total.item() / 2, 1e-12)


def test_nodes_are_not_pooled():
    student, teacher = draw(0, 12, 3)
    images = (one.t().reshape(1, 3, 3, 4) for one in (student, teacher))
    assert value(pairwise, student, teacher, NODES).item() == near(value(pairwise, *images, pool=1).item(), 1e-12)


# --- cirkd ---


def test_cirkd_of_one_picture_and_of_two():
    student, teacher = points([1, 0], [0, 1]), points([1, 0], [1, 0])
    assert value(cirkd, student, teacher, pool=1, temperature=1).item() == near(math.log(math.cosh(0.5)))
    assert value(cirkd, student, teacher, pool=1).item() == near(math.log(math.cosh(5)))
    two = torch.cat([student, points([0.6, 0.8], [0.8, 0.6])]), torch.cat([teacher, points([1, 0], [0, 1])])
    assert value(cirkd, *two, pool=1, temperature=1).item() == near(0.0857359179)


def test_cirkd_reads_aloud_after_its_pooling():
    student, teacher = draw(0, 2, 3, 4, 4)
    ours, theirs = ([picture.flatten(1).T for picture in one.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))] for one in (student, teacher))
    total = 0.0
    for i in range(2):
        for j in range(2):
            for row in range(4):
                p, q = (torch.cosine_similarity(one[i][row][None], one[j]).div(0.1).softmax(0) for one in (theirs, ours))
                total += (p * (p / q).log()).sum() / 16
    assert value(cirkd, student, teacher).item() == near(total.item(), 1e-12)


# --- mgd ---

MAP, WANTED = torch.tensor([[[[1.0, -2.0], [3.0, 4.0]]]]), torch.tensor([[[[0.0, 1.0], [3.0, 2.0]]]])


def identity(hidden, **settings):
    """The loss whose network is a ReLU."""
    pair = output(MAP), output(WANTED)
    loss = mgd.LOSS.make(mgd.LOSS.settings(pairs=["map"], hidden=hidden, **settings), *pair)
    with torch.no_grad():
        for layer in (loss.generators[0][0], loss.generators[0][2]):
            layer.weight.zero_()[0, 0, 1, 1] = 1
            layer.bias.zero_()
    return loss


def test_mgd_of_a_map_that_is_painted_by_a_relu():
    assert identity(0)(output(MAP), output(WANTED)).item() == near(6)
    assert identity(0)(output(torch.cat([MAP, WANTED])), output(torch.cat([WANTED, WANTED]))).item() == near(3)


@pytest.mark.parametrize("of", ["positions", "channels"])
def test_what_is_all_hidden_teaches_nothing(of):
    student = MAP.clone().requires_grad_()
    loss = identity(1, of=of)(output(student), output(WANTED))
    assert loss.item() == near(14)
    assert torch.autograd.grad(loss, student)[0].abs().max() == 0


@pytest.mark.parametrize(("of", "alike"), [("positions", 1), ("channels", (2, 3))])
def test_the_hidden_share_is_new_at_each_call_and_that_of_the_settings(of, alike):
    value = torch.ones(4, 50, 8, 8)
    loss = mgd.LOSS.make(mgd.LOSS.settings(pairs=["map"], hidden=0.3, of=of), output(value), output(value))
    first, second = loss._masked(value), loss._masked(value)
    assert (first.amax(alike) == first.amin(alike)).all()
    assert not torch.equal(first, second)
    shown = first.amax(alike).numel()
    assert 1 - first.mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / shown))


def test_mgd_reads_aloud_through_adapter_and_network():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    loss = mgd.LOSS.make(mgd.LOSS.settings(pairs=["map"], hidden=0), output(student), output(teacher))
    adapter, first, first_bias, second, second_bias = loss.parameters()
    painted = conv2d(conv2d(conv2d(student, adapter[..., None]), first, first_bias, padding=1).relu(), second, second_bias, padding=1)
    assert loss(output(student), output(teacher)).item() == pytest.approx(((painted - teacher) ** 2).sum().item() / 2, rel=1e-5)


def test_mgd_wants_maps():
    with pytest.raises(UserError, match=r"two axes of positions.*\(1, 3, 12\)"):
        value(mgd, *draw(0, 12, 3), NODES)
