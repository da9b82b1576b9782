"""cost: parameters and MACs of teacher and student, and of language models the bytes that a token takes in the cache."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.space.cache import cache_bytes


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """Numbers of parameters, and multiply-accumulates of the validation batch on which the budget was set.

    Of a language model `cache_bytes` is what its keys and values of one token take in single precision.
    """
    found: Metrics = {}
    for who, model in pair.models.items():
        costs = cost.summary(model, lambda model=model: pair.workload.apply(model, pair.example))  # type: ignore[misc]
        found |= {f"{who}_{name}": value for name, value in costs.items()}
        if (held := cache_bytes(model)) is not None:
            found[f"{who}_cache_bytes"] = held
    return found


EVALUATION = Evaluation(Settings, run)
