"""Scoring a model over a split, and comparing the predictions of two models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Task
from stillhouse.training.machine import move

EVALUATION_SEED = 0
"""Batches of validation and test are drawn with this seed, so every model of every run sees the same ones."""


def passes(task: Task[Any], model: nn.Module, batches: Batches[Any]) -> Iterator[tuple[Output, Any]]:
    """The model's outputs in evaluation mode without gradient, batch by batch, on the model's own device."""
    device = next(model.parameters()).device
    model.eval()
    for batch in batches.draw(torch.Generator().manual_seed(EVALUATION_SEED)):
        batch = move(batch, device)
        with torch.no_grad():
            output = task.apply(model, batch)
        yield output, batch  # outside the block: what the caller does meanwhile keeps its own gradient mode


def score(task: Task[Any], model: nn.Module, batches: Batches[Any]) -> Metrics:
    """The task's metrics over a split; the first key is the one to beat."""
    return task.score(passes(task, model, batches))


def first_batch(batches: Batches[Any], device: torch.device) -> Any:
    """The batch on which costs are counted, latency is measured and losses are made. Raises UserError if there is none."""
    drawn = batches.draw(torch.Generator().manual_seed(EVALUATION_SEED))
    if not isinstance(drawn, Iterable):
        raise UserError(f"the data that are loaded - wanted a pass of batches of `draw(rng)` - got a {type(drawn).__name__}")
    for batch in drawn:
        return move(batch, device)
    raise UserError("the data that are loaded - wanted a batch at least of each split - `draw` gives none")


def agreement(first: Output, second: Output) -> Tensor:
    """How alike two models are on one batch, one number per row in [0, 1] (values: in [-1, 1]).

    Classes and candidates: whether the first choice is the same. Values: the correlation over the whole batch.
    """
    if first.meaning == "values":
        return torch.corrcoef(torch.stack([first.prediction.flatten(), second.prediction.flatten()]))[0, 1].view(1)
    return (first.prediction.argmax(-1) == second.prediction.argmax(-1)).float().flatten()
