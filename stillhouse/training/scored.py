"""A network that is taken as it is: its score, and a training curve of one point."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.parts import Task
from stillhouse.training.score import first_batch, score


def scored(task: Task[Any], network: nn.Module, data: Data[Any], log: Log) -> Metrics:
    """The validation metrics, prefixed `valid_`; the point's epoch is 0 and its loss that of the first validation batch."""
    metrics = {f"valid_{name}": value for name, value in score(task, network, data.valid).items()}
    batch = first_batch(data.valid, next(network.parameters()).device)
    with torch.no_grad():
        loss = float(task.loss(task.apply(network, batch), batch))
    log({"epoch": 0, "loss": loss, **metrics})
    return metrics
