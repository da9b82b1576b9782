"""Training batches that a score is taken from."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.parts import Problem
from stillhouse.training.machine import move


def batches(problem: Problem[Any], count: int, rng: torch.Generator, device: torch.device) -> list[Any]:
    """`count` training batches, from as many passes as they need."""
    found: list[Any] = []
    while len(found) < count:
        for batch in problem.data.train.draw(rng):
            found.append(move(batch, device))
            if len(found) == count:
                break
    return found
