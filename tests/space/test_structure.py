from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Group
from stillhouse.space.structure import Structure, geometric_target, half_integer_ranks, resource_loss

MOST_IMPORTANT_FIRST = torch.tensor([8.0, 5.0, 0.1, 0.001])


def structure(*groups: Group, importance: Tensor | None = None, ratio: float = 0.0, **options: object) -> Structure:
    """In double precision, after one update, with the given importance and the same pruning ratio everywhere."""
    made = Structure(groups, **options).double()
    made.updates += 1
    made.ratio.data.fill_(ratio)
    made.importance.copy_(torch.arange(len(made.importance), 0, -1) if importance is None else importance)
    return made


def width(size: int) -> Group:
    return Group("width", size)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.5, [0.817574, 0.622459, 0.377541, 0.182426]), (0.0, [0.970688, 0.924142, 0.817574, 0.622459])],
)
def test_values_of_four(ratio: float, expected: list[float]) -> None:
    mask = structure(width(4), importance=MOST_IMPORTANT_FIRST, ratio=ratio).mask()
    torch.testing.assert_close(mask, torch.tensor(expected).double(), rtol=0, atol=1e-6)


def test_values_of_eight() -> None:
    eight = structure(width(8), ratio=0.5)
    mask = eight.mask()
    torch.testing.assert_close(mask[:4], torch.tensor([0.970688, 0.924142, 0.817574, 0.622459]).double(), rtol=0, atol=1e-6)
    mask.sum().backward()
    assert eight.ratio.grad.item() == pytest.approx(-7.7233, abs=1e-4)


def test_half_the_mass_stays_at_one_half() -> None:
    assert structure(width(4), ratio=0.5).mask().sum().item() == pytest.approx(2, abs=1e-12)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique=True), st.sampled_from(["exp", "tiny", "shift"]), st.floats(0, 1))
def test_any_increasing_map_of_importance_gives_the_same_mask(values: list[int], how: str, ratio: float) -> None:
    importance = torch.tensor(values, dtype=torch.float64)
    mapped = {"exp": importance.exp(), "tiny": importance * 1e-20, "shift": importance + 5}[how]
    group = width(len(values))
    assert torch.equal(structure(group, importance=importance, ratio=ratio).mask(), structure(group, importance=mapped, ratio=ratio).mask())


@given(st.permutations(range(7)), st.floats(0, 1))
def test_elements_may_be_reordered(order: list[int], ratio: float) -> None:
    importance = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = structure(width(7), importance=importance, ratio=ratio).mask()
    assert torch.equal(structure(width(7), importance=importance[order], ratio=ratio).mask(), plain[order])


@given(st.integers(2, 40), st.floats(0, 1), st.floats(0, 1))
def test_pruning_more_lowers_every_mask(size: int, first: float, second: float) -> None:
    less, more = (structure(width(size), ratio=ratio).mask() for ratio in sorted((first, second)))
    assert (more <= less).all()
    assert (more >= 0.5).sum() <= (less >= 0.5).sum()


@given(st.integers(1, 40), st.data())
def test_hard_count_of_whole_shares(size: int, data: st.DataObject) -> None:
    dropped = data.draw(st.integers(0, size - 1))
    _, counts = structure(Group("g", size, "width", minimum=0), ratio=dropped / size)()
    assert counts["g"].item() == size - dropped


def test_gradient_of_the_ratio() -> None:
    """-sharpness * m * (1 - m), and that of central differences."""
    group = Group("depth", 6, "depth", sharpness=4, minimum=0)
    made = structure(group, ratio=0.37)
    weights = torch.linspace(-1, 2, 6, dtype=torch.float64)
    mask = made.mask()
    (mask * weights).sum().backward()
    closed = (-24 * mask * (1 - mask) * weights).sum()
    step = 1e-6
    ends = [(structure(group, ratio=0.37 + sign * step).mask() * weights).sum() for sign in (1, -1)]
    assert made.ratio.grad.item() == pytest.approx(closed.item(), rel=1e-12)
    assert made.ratio.grad.item() == pytest.approx((ends[0] - ends[1]).item() / (2 * step), rel=1e-8)
    assert not made.importance.requires_grad


@given(st.integers(8, 60), st.floats(0, 1))
def test_masks_are_hard_away_from_the_threshold(size: int, ratio: float) -> None:
    made = structure(width(size), ratio=ratio)
    position = half_integer_ranks(made.importance, made.group, made.size[made.group])
    far = (position - ratio).abs() > 3 / size
    mask = made.mask()
    assert ((mask - mask.round()).abs()[far] < 0.0475).all()


def test_groups_do_not_mix() -> None:
    """The masks of two groups side by side are those of each alone, whatever the scale of the other's importance."""
    first, second = Group("first", 3), Group("second", 5)
    together = structure(first, second, importance=torch.tensor([5.0, 1, 3, 1e9, 2e9, -1, 0, 7]), ratio=0.3)()[0]
    assert torch.equal(together["first"], structure(first, importance=torch.tensor([5.0, 1, 3]), ratio=0.3).mask())
    assert torch.equal(together["second"], structure(second, importance=torch.tensor([1e9, 2e9, -1, 0, 7]), ratio=0.3).mask())


def test_nothing_is_masked_before_the_first_update() -> None:
    made = Structure((width(4),))
    assert torch.equal(made.mask(), torch.ones(4))
    made.update()
    assert made.mask().max() < 1


def test_a_single_block_starts_with_the_mask_of_the_release() -> None:
    block = structure(Group("block", 1, "depth", sharpness=4, minimum=0))
    assert block.mask().item() == pytest.approx(torch.sigmoid(torch.tensor(8 * 0.5)).item(), abs=1e-6)


def test_a_group_that_cannot_shrink_has_no_mask() -> None:
    made = structure(Group("only", 1), Group("all", 3, minimum=3), ratio=0.9)
    assert torch.equal(made.mask(), torch.ones(4).double())


@pytest.mark.parametrize("minimum", [1, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ratios_are_clamped_so_that_the_minimum_stays(minimum: int, dtype: torch.dtype) -> None:
    made = Structure((Group("g", 7, minimum=minimum),)).to(dtype)
    made.ratio.data.fill_(5)
    made.update()
    assert made()[1]["g"].item() == minimum
    made.ratio.data.fill_(-5)
    made.update()
    assert made.ratio.item() == 0


def step(made: Structure, gradient: Tensor, passes: int = 1) -> None:
    """One step whose task loss has the given gradient at the masks."""
    for _ in range(passes):
        masks, _ = made()
        sum((masks[group.name] * part).sum() for group, part in zip(made.groups, gradient.split(made.sizes), strict=True)).backward()
    made.update()


def test_moving_average_of_a_constant() -> None:
    made = Structure((Group("only", 1), Group("other", 1))).double()
    for _ in range(100):
        step(made, torch.tensor([1.0, -1.0]))
    assert made.importance.tolist() == pytest.approx([1 - 0.99**100] * 2, rel=1e-12)
    assert made.importance[0].item() == pytest.approx(0.633968, abs=1e-6)


def test_importance_is_mask_times_gradient_squared() -> None:
    made = structure(width(3), ratio=0.4)
    mask, before = made.mask().detach(), made.importance.clone()
    step(made, torch.tensor([2.0, -3.0, 5.0]))
    torch.testing.assert_close(made.importance, 0.99 * before + 0.01 * (mask * torch.tensor([2.0, -3.0, 5.0])).square())


def test_two_consumers_update_once_with_the_sum() -> None:
    made = Structure((Group("g", 1),)).double()
    masks, _ = made()
    (3 * masks["g"].sum() + 4 * masks["g"].square().sum()).backward()
    made.update()
    assert made.importance.item() == pytest.approx(0.01 * (3 + 8) ** 2)


def test_accumulated_passes_update_once_with_the_sum() -> None:
    made = Structure((Group("g", 1),)).double()
    step(made, torch.tensor([2.0]), passes=3)
    assert made.importance.item() == pytest.approx(0.01 * 6**2)


def test_cost_is_not_seen_by_the_importance() -> None:
    made = structure(width(4), importance=MOST_IMPORTANT_FIRST, ratio=0.5)
    _, counts = made()
    counts["width"].backward()
    made.update()
    torch.testing.assert_close(made.importance, MOST_IMPORTANT_FIRST.double() * 0.99)
    assert made.ratio.grad.item() < -3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_left_out(bad: float) -> None:
    made = structure(width(2), importance=torch.tensor([1.0, 2.0]))
    step(made, torch.tensor([1.0, bad]))
    assert made.importance.tolist() == [1, 2]
    step(made, torch.tensor([1.0, 1.0]))
    assert made.importance.tolist() != [1, 2]


def test_counts_are_integers_with_the_gradient_of_the_soft_masks() -> None:
    made = structure(width(5), Group("blocks", 3, "depth", 4, 0), ratio=0.45)
    _, counts = made()
    assert counts["width"].item() == 3
    assert counts["blocks"].tolist() == [1, 1, 0]
    counts["width"].backward()
    soft = structure(width(5), Group("blocks", 3, "depth", 4, 0), ratio=0.45)
    soft.mask()[:5].sum().backward()
    torch.testing.assert_close(made.ratio.grad, soft.ratio.grad)


def test_frozen_depth_is_hard_and_still_while_widths_go_on() -> None:
    made = structure(width(4), Group("blocks", 3, "depth", 4, 0), ratio=0.4, freeze_depth_after=2)
    made.update()
    importance = made.importance[4:].clone()
    for _ in range(3):
        made.ratio.data += 0.1
        step(made, torch.ones(7))
    masks, _ = made()
    assert masks["blocks"].tolist() == [1, 1, 0]
    assert masks["width"].unique().numel() == 4
    assert made.ratio.tolist() == pytest.approx([0.7, 0.4])
    assert torch.equal(made.importance[4:], importance)
    made()[1]["blocks"].sum().backward()
    assert made.ratio.grad[1] == 0


def test_state_is_complete() -> None:
    """A restored structure goes on exactly as the one it was saved from."""
    groups = (width(4), Group("blocks", 3, "depth", 4, 0))
    first, second = (Structure(groups, freeze_depth_after=3) for _ in range(2))
    for _ in range(3):
        first.ratio.data += 0.1
        step(first, torch.arange(7.0))
    second.load_state_dict(first.state_dict())
    for made in (first, second):
        made.ratio.data += 0.1
        step(made, torch.arange(7.0).flip(0))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert torch.equal(first.mask(), second.mask())


def test_balance_ties_the_gradient_of_the_cost_to_that_of_the_task() -> None:
    groups = (width(6), Group("other", 4))
    made = structure(*groups, ratio=0.5, balance=3.0)
    plain = structure(*groups, ratio=0.5)
    for one in (made, plain):
        step(one, torch.linspace(-1, 2, 10))
    task = plain.ratio.grad.clone()
    torch.testing.assert_close(made.ratio.grad, task)
    for one in (made, plain):
        one.importance.copy_(torch.arange(10))
        one.ratio.grad = None
        counts = one()[1]
        (1e-6 * (counts["width"] + 2 * counts["other"])).backward()
    assert made.ratio.grad.norm().item() == pytest.approx(3 * task.norm().item())
    torch.testing.assert_close(made.ratio.grad / made.ratio.grad.norm(), plain.ratio.grad / plain.ratio.grad.norm())


def test_balance_without_any_gradient_is_nothing() -> None:
    made = structure(width(3), ratio=0.5, balance=1.0)
    (0 * made()[1]["width"]).backward()
    assert made.ratio.grad.item() == 0


def test_raw_importance_instead_of_ranks() -> None:
    made = structure(width(2), importance=torch.tensor([0.5, 0.0]), normalise_ranks=False)
    torch.testing.assert_close(made.mask(), torch.sigmoid(torch.tensor([1.0, 0.0]).double()))


def test_no_groups_is_refused() -> None:
    with pytest.raises(UserError, match="declares none"):
        Structure(())


@pytest.mark.parametrize(("factor", "loss", "slope"), [(0.5, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, math.log(2), 0.1)])
def test_resource_loss(factor: float, loss: float, slope: float) -> None:
    cost = torch.tensor(5.0 * factor, dtype=torch.float64, requires_grad=True)
    value = resource_loss(cost, torch.tensor(5.0, dtype=torch.float64))
    value.backward()
    assert value.item() == pytest.approx(loss)
    assert cost.grad.item() == pytest.approx(slope)


def test_a_cost_of_zero_has_no_gradient() -> None:
    cost = torch.zeros((), requires_grad=True)
    resource_loss(cost, torch.tensor(5.0)).backward()
    assert cost.grad.item() == 0


def test_target_falls_by_equal_factors() -> None:
    shares = [geometric_target(8.0, 2.0, torch.tensor(eighth / 8)).item() / 8 for eighth in (0, 1, 2, 3, 4, 8, 12)]
    assert shares == pytest.approx([1, 0.840896, 0.707107, 0.594604, 0.5, 0.25, 0.25], abs=1e-6)


def test_the_compiler_leaves_its_hooks_alone() -> None:
    """Compiled, they are handed nothing in the first step. A search that is compiled takes too long to be tried here."""
    assert getattr(Structure.forward, "_torchdynamo_disable", False)
