from __future__ import annotations

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.searches._draw import draw
from stillhouse.searches._rounding import Rounding
from tests.searches import toy

PROBLEM = toy.deep_problem(0.5)
SCORES = {group.name: torch.arange(group.size).float() for group in PROBLEM.groups}
ROUNDING = Rounding(PROBLEM.groups, PROBLEM.cost, PROBLEM.budget)


def test_draws_lie_in_the_band_and_keep_what_scores_highest() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = [draw(ROUNDING, 0.05, SCORES, rng) for _ in range(20)]
    assert len({architecture.to_json() for architecture in drawn}) > 15
    assert len({architecture.kept["blocks"] for architecture in drawn}) > 3
    for architecture in drawn:
        assert 0.95 * PROBLEM.budget <= ROUNDING.price(architecture) <= PROBLEM.budget
        for group in PROBLEM.groups:
            if group.kind == "width":
                kept = architecture.kept[group.name]
                assert kept == tuple(range(group.size - len(kept), group.size))


def test_an_empty_band_is_refused() -> None:
    with pytest.raises(UserError, match=r"100 draws gave no network that costs between .* and .*: widen `band`"):
        draw(ROUNDING, 1e-9, SCORES, torch.Generator().manual_seed(0))
