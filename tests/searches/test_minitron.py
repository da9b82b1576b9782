from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stillhouse.searches import minitron
from tests.searches import handmade, toy

TOY = {"fit": None, "blocks": (0, 1)}
"""Settings for the toy problems of the family's tests."""
PROBLEM = partial(toy.problem, noise=0.5)
"""It looks at activations and not at weights: what is of no use must be quieter."""


def test_importance_is_the_formula() -> None:
    """By hand: |x| has mean 2 over positions, |y| a third of 1, and |x + y| 6 / 3; two samples alike add up in squares."""
    problem = handmade.problem()
    tokens = torch.tensor([handmade.TOKENS])
    found = minitron.activations(problem, problem.supernet(), [(tokens,), (torch.cat([tokens, -tokens]),)])
    torch.testing.assert_close(found["blocks.0.first"], 3**0.5 * torch.tensor([2.0, 1 / 3, 2.0]))


def test_the_least_active_goes() -> None:
    (trial,) = minitron.run(handmade.problem(), minitron.MinitronSettings(batches=1), torch.Generator())
    assert trial.architecture.kept["blocks.0.first"] == (0, 2)


def test_each_candidate_lacks_the_blocks_with_the_least_influence_and_layers_are_alike() -> None:
    settings = minitron.MinitronSettings(batches=1, blocks=(0, 1))
    problem = handmade.problem((1.0, 0.001, 0.5), share=2 / 3)
    whole, shorter = minitron.run(problem, settings, torch.Generator())
    assert [trial.architecture.kept["blocks.blocks"] for trial in (whole, shorter)] == [(0, 1, 2), (0, 2)]
    assert [whole.architecture.counts()[f"blocks.{index}.first"] for index in range(3)] == [2, 2, 2]
    assert [shorter.architecture.counts()[f"blocks.{index}.first"] for index in (0, 2)] == [3, 3]


def test_candidates_share_the_epochs() -> None:
    records: list[Any] = []
    settings = minitron.MinitronSettings(batches=1, blocks=(0, 1), fit={"epochs": 4, "learning_rate": 0.01})
    list(minitron.run(toy.problem(log=records.append), settings, torch.Generator()))
    assert [record["epoch"] for record in records if "epoch" in record] == [1, 2, 1, 2]


@pytest.mark.parametrize(("blocks", "epochs", "sentence"), [((0, 1), 3, "should be a multiple"), ((1, 1), 2, "different numbers")])
def test_candidates_that_cannot_be_are_refused(blocks: tuple[int, ...], epochs: int, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        minitron.MinitronSettings(blocks=blocks, fit={"epochs": epochs, "learning_rate": 0.1})
