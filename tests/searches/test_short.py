from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.searches import short
from stillhouse.searches._influence import influences, most_dropped, without
from stillhouse.searches._rounding import Rounding
from tests.searches import handmade, toy

TOY = {"fit": toy.TRAINING}
"""Settings for the toy problems of the family's tests."""


class Given(nn.Module):
    """A block that makes y of x, whatever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.returned = ("blocks", 0), True

    def forward(self, value: Tensor) -> Tensor:
        return torch.tensor([[[1.0, 1], [2, 2]]])


def test_influence_is_the_formula() -> None:
    """(1, 0) becomes (1, 1), and (1, 1) becomes (2, 2): cosines 0.7071 and 1."""
    problem = handmade.problem((1.0, 1.0))
    problem = replace(problem, groups=(replace(problem.groups[-1], name="blocks", size=1),))
    found = influences(problem, Given(), [(torch.tensor([[[1.0, 0], [1, 1]]]),)])
    torch.testing.assert_close(found["blocks"], torch.tensor([0.1464466094]))


def test_the_block_that_changes_least_goes_first() -> None:
    """Of three alike but for their size, the one in the middle adds a thousandth."""
    problem = handmade.problem((1.0, 0.001, 0.5), share=2 / 3)
    (trial,) = short.run(problem, short.ShortSettings(batches=1), torch.Generator())
    assert trial.architecture.kept["blocks.blocks"] == (0, 2)
    assert all(len(kept) == 3 for name, kept in trial.architecture.kept.items() if name.startswith("blocks.") and "first" in name)


def test_what_whole_blocks_leave_of_the_budget_is_used_by_widths() -> None:
    """Of three blocks of six products each side, a budget of half means one block less and a quarter of the widths of the others."""
    problem = handmade.problem((1.0, 0.001, 0.5), share=0.5)
    (trial,) = short.run(problem, short.ShortSettings(batches=1), torch.Generator())
    assert trial.architecture.kept["blocks.blocks"] == (0, 2)
    counts = trial.architecture.counts()
    assert sorted(counts[f"blocks.{index}.first"] for index in (0, 2)) in ([2, 2], [1, 3], [2, 3])
    assert trial.cost <= problem.budget


def test_blocks_go_in_the_order_of_their_influence_and_a_group_keeps_its_minimum() -> None:
    problem = handmade.problem((1.0, 1.0, 1.0))
    problem = replace(problem, groups=tuple(replace(g, minimum=1) if g.kind == "depth" else g for g in problem.groups))
    found = {"blocks.blocks": torch.tensor([0.2, 0.1, 0.3])}
    assert [without(problem, found, number)["blocks.blocks"] for number in range(5)] == [(0, 1, 2), (0, 2), (2,), (2,), (2,)]
    rounding = Rounding(problem.groups, problem.cost, problem.budget)
    assert most_dropped(replace(rounding, budget=rounding.budget / 0.7), problem, found) == 0


def test_a_block_that_returns_something_else_is_told() -> None:
    problem = handmade.problem((1.0, 1.0))
    model = problem.supernet()
    del model.blocks[0].returned
    with pytest.raises(UserError, match=r"wanted blocks that return what goes into them, changed - blocks\.0 returns something else"):
        influences(problem, model, [(torch.tensor([handmade.TOKENS]),)])
