"""latency: milliseconds that teacher and student take for the first test batch, in turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import nn

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.latency import interleaved
from stillhouse.training.score import first_batch


class LatencySettings(Settings):
    """When there are rounds enough: as soon as both spreads are small, or the time is up."""

    rounds: int = Field(20, gt=0)
    """The least number of rounds, one call of each model in each; a round before them is not counted."""
    spread: float = Field(0.05, gt=0)
    """Half the interquartile range as a share of the median, at which a latency is taken for steady."""
    seconds: float = Field(5.0, ge=0)
    """Time after which no further round is begun, once there are `rounds`."""


def run(pair: Pair[Any], settings: LatencySettings, rng: torch.Generator) -> Metrics:
    """Median and spread in milliseconds for both, and how they were measured; `latency_noisy` is 1 if a spread stayed large."""
    batch = first_batch(pair.test, pair.device)
    calls = {who: _call(pair, model.eval(), batch) for who, model in pair.models.items()}
    times = interleaved(calls, pair.device, rounds=settings.rounds, spread=settings.spread, seconds=settings.seconds)
    found: Metrics = {}
    for who, time in times.items():
        found |= {f"{who}_latency_ms": time.median, f"{who}_latency_spread_ms": time.spread}
    return found | {
        "latency_noisy": float(any(time.relative > settings.spread for time in times.values())),
        "latency_rounds": float(next(iter(times.values())).rounds),
        "latency_batch_size": float(calls["student"]()),
        "latency_threads": float(torch.get_num_threads()),
    }


def _call(pair: Pair[Any], model: nn.Module, batch: Any) -> Callable[[], int]:
    def call() -> int:
        with torch.no_grad():
            return len(pair.workload.apply(model, batch).prediction)

    return call


EVALUATION = Evaluation(LatencySettings, run)
