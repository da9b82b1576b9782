"""Candidates that several processes share: here one after the other in one process, as each of them finds what the others have left."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem, Trial
from stillhouse.training import progress, workers
from tests.searches import test_family, toy

SHARING = [name for name in registry.known("searches") if registry.search(name).shares]
SETTINGS: dict[str, dict[str, Any]] = {"random": {"draws": 5, "band": 0.1, "fit": {"epochs": 5, "learning_rate": 0.02}}}
RANKED = {"candidates": 5, "finalists": 3, "band": 0.1, "fit": {"epochs": 3, "learning_rate": 0.02}}


class Noisy(toy.Selection):
    """Draws from the global generators in training, as dropout does, and when it is made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.drop = nn.Dropout(0.3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(rows, all inputs) -> (rows,)"""
        return super().forward(self.drop(values) + (0.1 * random.random() if self.training else 0))


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> Problem[Any]:
    monkeypatch.setattr(toy, "Selection", Noisy)
    return toy.problem()


def alone(name: str, problem: Problem[Any]) -> list[Trial]:
    torch.manual_seed(0)
    method = registry.search(name)
    settings = method.settings.model_validate(SETTINGS.get(name, RANKED))
    return list(method.run(problem, settings, torch.Generator().manual_seed(0)))


def one_of(name: str, problem: Problem[Any], folder: Path, number: int) -> list[Trial] | None:
    """What one of two processes has found; None where it cannot go on, since the other one is gone."""
    with workers.joined(folder, number, 2, lambda: "the other one is gone"), suppress(UserError):
        return alone(name, problem)
    return None


def test_these_methods_share() -> None:
    assert SHARING == ["gradsign", "random", "zico"]


@pytest.mark.parametrize("name", SHARING)
def test_two_processes_find_what_one_finds(name: str, problem: Problem[Any], tmp_path: Path) -> None:
    turns = [one_of(name, problem, tmp_path, number) for number in (1, 0, 1, 0)]
    assert turns[0] is None, "it has half of them"
    assert turns[-1] is not None
    test_family.same(turns[-1], alone(name, problem))


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """And there may be more or fewer processes than before."""
    made: list[int] = []

    def work(index: int) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
        made.append(index)
        return {"weight": torch.tensor(index)}, {"square": index**2}

    with workers.joined(tmp_path, 1, 2, lambda: "gone"), pytest.raises(UserError, match="gone"):
        list(workers.shared("draw", 5, work))
    with workers.joined(tmp_path, 0, 1, lambda: "gone"):
        found = list(workers.shared("draw", 5, work))
    assert made == [1, 3, 0, 2, 4]
    assert [(int(tensors["weight"]), facts["square"]) for tensors, facts in found] == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]


def test_one_of_them_writes(tmp_path: Path) -> None:
    assert workers.first()
    for number in (0, 1):
        with workers.joined(tmp_path, number, 2, lambda: None):
            assert workers.first() == (number == 0)


@pytest.mark.parametrize("name", SHARING)
def test_a_process_apart_makes_what_others_have_not_and_finds_the_same(name: str, problem: Problem[Any], tmp_path: Path) -> None:
    expected = alone(name, problem)
    for number in (1, 0):
        with workers.joined(tmp_path, number, 3, None):
            test_family.same(alone(name, problem), expected)


def test_whoever_is_apart_takes_the_last_of_others_and_waits_for_a_single_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate takes ten seconds of a clock of this test's own."""
    made: list[int] = []
    now = [0.0]

    def work(index: int) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
        made.append(index)
        now[0] += 10
        if index == 5:  # meanwhile one comes from another process
            progress.write(tmp_path / "draw2", {}, {"square": 1})
        return {}, {"square": index**2}

    def wait(_: float) -> None:
        now[0] += 1

    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=wait))
    with workers.joined(tmp_path, 0, 3, None):
        found = list(workers.shared("draw", 8, work))
    assert made == [0, 3, 6, 7, 4, 5, 2], "its own, the last ones of others, and one that never came"
    assert now[0] == 80, "that one was waited for"
    assert [facts["square"] for _, facts in found] == [index**2 for index in range(8)]


def test_what_came_damaged_is_made_once_more(tmp_path: Path) -> None:
    with workers.joined(tmp_path, 0, 2, None):
        assert [facts for _, facts in workers.shared("draw", 2, lambda index: ({}, {"number": index}))]
        next((tmp_path / "draw2").iterdir()).write_bytes(b"half")
        assert [facts["number"] for _, facts in workers.shared("draw", 2, lambda index: ({}, {"number": index}))] == [0, 1]
