from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.searches._rounding import Rounding, most_important
from stillhouse.space import blueprint, cost
from stillhouse.space.blueprint import Architecture, Group
from stillhouse.space.structure import Structure
from tests.space.networks import Mixed, example, settled
from tests.space.test_blueprint import GROUPS

MODEL = settled(Mixed())
MACS = cost.macs(MODEL, lambda: MODEL(*example()))
FULL = cost.total(MACS)
ALL_BLOCKS = {"blocks": (0, 1, 2)}
WIDTHS = [group for group in GROUPS if group.kind == "width"]
SCORES = {group.name: torch.rand(group.size, generator=torch.Generator().manual_seed(1)) for group in GROUPS}


def rounding(share: float, multiple: int = 1) -> Rounding:
    return Rounding(GROUPS, lambda counts: cost.evaluate(MACS, counts), share * FULL, multiple)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.25, 1), st.lists(st.floats(0.05, 1), min_size=len(WIDTHS), max_size=len(WIDTHS)), st.sampled_from([1, 2, 4]))
def test_the_budget_is_kept_and_used(share: float, wanted: list[float], multiple: int) -> None:
    """Inside the budget, on multiples, at least the minimum; what is left over does not pay for any group's next step."""
    fitter = rounding(share, multiple)
    found = fitter.fit({group.name: value for group, value in zip(WIDTHS, wanted, strict=True)}, ALL_BLOCKS, SCORES)
    assert fitter.price(found) <= share * FULL
    for group in WIDTHS:
        count = len(found.kept[group.name])
        assert count % multiple == 0 or count == group.size
        assert count >= group.minimum
    for group in WIDTHS:
        assert len(found.kept[group.name]) == group.size or fitter.price(grown(found, group, multiple)) > share * FULL


def grown(architecture: Architecture, group: Group, step: int) -> Architecture:
    count = min(len(architecture.kept[group.name]) + step, group.size)
    return Architecture({**architecture.kept, group.name: tuple(range(count))})


def test_a_generous_budget_keeps_everything() -> None:
    assert rounding(1.0).fit({group.name: 0.1 for group in WIDTHS}, ALL_BLOCKS, SCORES) == blueprint.full(GROUPS)


def test_shares_keep_their_proportion() -> None:
    groups = (Group("a", 1000), Group("b", 1000))
    fitter = Rounding(groups, lambda counts: counts["a"].double() + counts["b"].double(), 600)
    found = fitter.fit({"a": 1.0, "b": 0.5}, {}, {"a": torch.zeros(1000), "b": torch.zeros(1000)})
    assert found.counts() == {"a": 400, "b": 200}


def test_groups_that_grow_together_are_topped_up_singly() -> None:
    """Ten groups of ten at one share cost 50 or 60; a budget of 57 is met exactly."""
    groups = tuple(Group(str(index), 10) for index in range(10))
    fitter = Rounding(groups, lambda counts: sum(counts.values()).double(), 57)
    found = fitter.fit({group.name: 1.0 for group in groups}, {}, {group.name: torch.zeros(10) for group in groups})
    assert sorted(found.counts().values()) == [5] * 3 + [6] * 7


def test_where_a_head_is_too_dear_the_others_go_on_growing() -> None:
    """Four heads at 30 each and 64 units at 1 each: of a budget of 100 two heads leave 40."""
    groups = (Group("heads", 4), Group("units", 64))
    fitter = Rounding(groups, lambda counts: (30 * counts["heads"] + counts["units"]).double(), 100)
    found = fitter.fit({"heads": 1.0, "units": 0.3}, {}, {"heads": torch.zeros(4), "units": torch.zeros(64)})
    assert found.counts() == {"heads": 2, "units": 40}


def test_the_most_important_are_kept_under_a_multiple() -> None:
    found = rounding(0.5, multiple=4).fit({group.name: 1.0 for group in WIDTHS}, ALL_BLOCKS, SCORES)
    for name, kept in found.kept.items():
        dropped = set(range(len(SCORES[name]))) - set(kept)
        assert all(SCORES[name][index] >= SCORES[name][list(dropped)].max() for index in kept if dropped)


def test_blocks_go_only_when_they_must_and_the_least_first() -> None:
    scores = SCORES | {"blocks": torch.tensor([3.0, 1.0, 2.0])}
    shares = {group.name: 1.0 for group in WIDTHS}
    ones = {group.name: torch.tensor(1.0) for group in WIDTHS}

    def narrow(*blocks: float) -> float:
        return float(cost.evaluate(MACS, ones | {"blocks": torch.tensor(blocks)})) / FULL

    assert rounding(narrow(1, 1, 1)).fit(shares, ALL_BLOCKS, scores).kept["blocks"] == (0, 1, 2)
    assert rounding(narrow(1, 0, 1)).fit(shares, ALL_BLOCKS, scores).kept["blocks"] == (0, 2)
    assert rounding(narrow(0, 0, 0)).fit(shares, ALL_BLOCKS, scores).kept["blocks"] == ()


def test_an_impossible_budget_is_refused_before_the_search() -> None:
    fitter = rounding(1e-3)
    with pytest.raises(UserError, match="the smallest network of this space costs"):
        fitter.require_feasible()
    with pytest.raises(UserError, match="the smallest network of this space costs"):
        fitter.fit({group.name: 1.0 for group in WIDTHS}, ALL_BLOCKS, SCORES)


def test_blocks_that_must_stay_stay() -> None:
    groups = (Group("blocks", 2, "depth", 4, minimum=1),)
    fitter = Rounding(groups, lambda counts: counts["blocks"].sum().double(), 1)
    assert fitter.fit({}, {"blocks": (0, 1)}, {"blocks": torch.zeros(2)}).kept == {"blocks": (0,)}
    with pytest.raises(UserError):
        Rounding(groups, lambda counts: counts["blocks"].sum().double(), 0.5).require_feasible()


@pytest.mark.parametrize(("scores", "kept"), [([1.0, 3.0, 2.0], (1, 2)), ([0.0, 0.0, 0.0], (1, 2))])
def test_most_important(scores: list[float], kept: tuple[int, ...]) -> None:
    assert most_important(torch.tensor(scores), 2) == kept


def test_most_important_agrees_with_the_masks() -> None:
    """Also where importances are equal."""
    made = Structure((Group("g", 6),))
    made.importance.copy_(torch.tensor([1.0, 2, 2, 2, 1, 3]))
    made.updates += 1
    made.ratio.data.fill_(0.5)
    hard: Tensor = torch.nonzero(made.mask() >= 0.5).flatten()
    assert most_important(made.importance, 3) == tuple(hard.tolist())
