"""cost: parameters and MACs of teacher and student."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """Numbers of parameters, and multiply-accumulates of the validation batch on which the budget was set."""
    found: Metrics = {}
    for who, model in pair.models.items():
        costs = cost.summary(model, lambda model=model: pair.workload.apply(model, pair.example))  # type: ignore[misc]
        found |= {f"{who}_{name}": value for name, value in costs.items()}
    return found


EVALUATION = Evaluation(Settings, run)
