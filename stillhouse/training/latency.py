"""Measured latency of several models side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch


def interleaved(calls: Mapping[str, Callable[[], object]], repetitions: int, device: torch.device) -> dict[str, tuple[float, float]]:
    """Milliseconds of each call as (median, half the interquartile range).

    The calls take turns, so that a machine that slows down slows all of them; the first round is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repetitions + 1):
        for name, call in calls.items():
            elapsed = _timed(call, device)
            if round_:
                seconds[name].append(elapsed)
    return {name: _median_and_spread(values) for name, values in seconds.items()}


def _timed(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _median_and_spread(seconds: list[float]) -> tuple[float, float]:
    low, middle, high = torch.tensor(seconds, dtype=torch.float64).mul(1000).quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
    return middle, (high - low) / 2
