"""Measured latency of several models side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Latency:
    """The time of one call: the median and half the interquartile range, both in milliseconds, over a number of rounds."""

    median: float
    spread: float
    rounds: int

    @property
    def relative(self) -> float:
        """The spread as a share of the median."""
        return self.spread / self.median


def interleaved(
    calls: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int, spread: float, seconds: float
) -> dict[str, Latency]:
    """Measures at least `rounds` rounds, then goes on until every relative spread is at most `spread` or `seconds` have passed.

    The calls take turns, so that a machine that slows down slows all of them; a round before the first is not counted.
    """
    _round(calls, device)
    measured: dict[str, list[float]] = {name: [] for name in calls}
    started = time.perf_counter()
    while True:
        for name, elapsed in _round(calls, device).items():
            measured[name].append(elapsed)
        found = {name: _summary(values) for name, values in measured.items()}
        enough = all(latency.rounds >= rounds for latency in found.values())
        if enough and (all(latency.relative <= spread for latency in found.values()) or time.perf_counter() - started >= seconds):
            return found


def least(call: Callable[[], object], *, rounds: int, seconds: float, threads: int) -> float:
    """Milliseconds of the fastest of `rounds` calls on the CPU, or of those that `seconds` were enough for, three at the least.

    What else a machine does can only add to a time. With one thread it is the processor's time, to which a busy machine adds little. Two
    calls before the first are not counted.
    """
    now = time.process_time if threads == 1 else time.perf_counter
    for _ in range(2):
        call()
    times: list[float] = []
    while len(times) < rounds and (len(times) < 3 or sum(times) < seconds):
        started = now()
        call()
        times.append(now() - started)
    return 1000 * min(times)


def _round(calls: Mapping[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    return {name: _timed(call, device) for name, call in calls.items()}


def _timed(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _summary(seconds: list[float]) -> Latency:
    low, middle, high = torch.tensor(seconds, dtype=torch.float64).mul(1000).quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
    return Latency(middle, (high - low) / 2, len(seconds))
