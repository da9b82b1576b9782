"""Batches that other processes build are those that one process builds, and a training goes on from the middle of a pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.loader import Loader
from stillhouse.training.machine import pinned
from stillhouse.training.progress import Progress
from stillhouse.training.rows import anywhere, shuffled

TABLE = torch.arange(60.0).view(20, 3) / 60


@dataclass(frozen=True)
class Batch:
    """Some rows, and the process that took them."""

    rows: Tensor
    process: int = 0


def build(rows: Tensor, noise: Tensor) -> Batch:
    return Batch(TABLE[rows] + noise, os.getpid())


def noisy(count: int, rng: torch.Generator) -> Tensor:
    return torch.rand(count, 3, generator=rng)


def batches(make: Callable[[Tensor, Any], Batch] = build) -> Batches[Batch]:
    return shuffled(anywhere(20, 3), make, noisy)


def built(workers: int, make: Callable[[Tensor, Any], Batch] = build, *, pinned: bool = False) -> list[Batch]:
    loader, rng = Loader(workers, pinned), torch.Generator().manual_seed(5)
    jobs = loader.jobs(batches(make))
    return list(loader.built(jobs.plan(rng), jobs.build))


def test_other_processes_build_the_same_batches_in_the_same_order() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    alone, others, through = built(0), built(2), built(0, pinned=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert [batch.rows.tolist() for batch in others] == [batch.rows.tolist() for batch in alone]
    assert [batch.rows.tolist() for batch in through] == [batch.rows.tolist() for batch in alone]
    assert {batch.process for batch in alone} == {os.getpid()}
    assert len({batch.process for batch in others} - {os.getpid()}) == 2


def test_a_pass_is_the_order_of_its_rows_and_then_what_is_drawn_for_batch_after_batch() -> None:
    rng = torch.Generator().manual_seed(5)
    wanted = [TABLE[rows] + noisy(len(rows), rng) for rows in torch.randperm(20, generator=rng).tensor_split(7)]
    assert [batch.rows.tolist() for batch in built(0)] == [rows.tolist() for rows in wanted]


def test_a_training_with_workers_goes_on_from_the_middle_of_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", "0")
    whole = trained(0, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        trained(2, tmp_path / "killed", killed_after=10)  # of seven steps a pass
    assert trained(1, tmp_path / "killed") == whole


def trained(workers: int, scratch: Path, killed_after: int | None = None) -> list[list[float]]:
    torch.manual_seed(0)
    model, steps = nn.Sequential(nn.Dropout(0.1), nn.Linear(3, 1)), iter(range(99))
    rng, settings = torch.Generator().manual_seed(1), FitSettings(epochs=3, learning_rate=0.1, workers=workers)

    def count() -> None:
        if next(steps) == killed_after:
            raise InterruptedError

    def loss(batch: Batch) -> Tensor:
        return (model(batch.rows) - batch.rows.sum(1, keepdim=True)).square().mean()

    for _ in fit(model, loss, batches(), settings, rng, progress=Progress(scratch), after_step=count):
        pass
    return [parameter.tolist() for parameter in model.parameters()]


def test_where_a_batch_is_drawn_while_it_is_built_workers_are_refused() -> None:
    drawn: Batches[Tensor] = Batches(lambda rng: iter([torch.rand(3, generator=rng)]), 1)
    with pytest.raises(UserError, match=r"fit\.workers - wanted 0 - got 2: this task draws a batch while it builds it"):
        Loader(2).jobs(drawn)


def test_a_worker_that_ends_is_told() -> None:
    with pytest.raises(UserError, match=r"fit\.workers - wanted 1 processes that build batches - one of them ended"):
        built(1, lambda rows, noise: os._exit(1))  # type: ignore[arg-type,return-value]


def test_what_can_be_pinned_in_a_batch_is() -> None:
    class Part:
        def pin_memory(self) -> str:
            return "pinned"

    assert pinned({"a": [Part(), 3], "b": (Batch(Part()), "text")}) == {"a": ["pinned", 3], "b": (Batch("pinned"), "text")}  # type: ignore[arg-type]


def test_how_batches_are_built_is_no_part_of_what_makes_a_result() -> None:
    plain = {"epochs": 1, "learning_rate": 0.1}
    assert FitSettings(**plain, workers=4, pinned=True).model_dump() == FitSettings(**plain).model_dump()  # type: ignore[arg-type]
