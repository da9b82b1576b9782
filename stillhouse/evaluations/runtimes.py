"""runtimes: what the student is worth where it may run outside of this library."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.runtimes import difference
from stillhouse.runtimes.program import Program, capture, probes
from stillhouse.runtimes.runtime import Ask
from stillhouse.runtimes.table import RUNTIMES, Name
from stillhouse.training.latency import interleaved
from stillhouse.training.score import EVALUATION_SEED, first_batch

_CPU = torch.device("cpu")


class RuntimesSettings(Settings):
    """Which runtimes, and when there are rounds enough, as for `latency`. All run on the CPU with as many threads as the stage."""

    runtimes: tuple[Name, ...] = Field(("torch", "pt2"), min_length=1)
    tolerance: float | None = Field(None, gt=0)
    """The largest difference from PyTorch at which a runtime is not marked `refused`; None takes that of each runtime."""
    rounds: int = Field(20, gt=0)
    spread: float = Field(0.05, gt=0)
    seconds: float = Field(5.0, ge=0)


def run(pair: Pair[Any], settings: RuntimesSettings, rng: torch.Generator) -> Metrics:
    """For each runtime the first metric on the test split, latency for the first test batch, bytes and difference from PyTorch.

    Raises UserError, saying why, if a runtime cannot run the student.
    """
    student = copy.deepcopy(pair.student).to(_CPU)
    program = capture(pair.workload, student, probes(pair.train, pair.valid, rng))
    found: Metrics = {}
    asks: dict[str, Ask] = {}
    with tempfile.TemporaryDirectory() as place:
        for name in dict.fromkeys(settings.runtimes):
            runtime, file = RUNTIMES[name], Path(place) / f"{name}-{RUNTIMES[name].file}"
            runtime.save(program, file, difference.calibration(program, pair.train, rng))
            asks[name] = runtime.load(file, program)
            gap = difference.largest(program, asks[name], pair.valid)
            tolerance = runtime.tolerance if settings.tolerance is None else settings.tolerance
            facts = {**_quality(pair, program, asks[name]), "bytes": float(file.stat().st_size), "difference": min(gap, _MOST)}
            found |= _named(name, facts | {"refused": float(gap > tolerance)})
        return found | _latencies(pair, program, asks, settings)


_MOST = 1e30
"""Stands for a difference that is no number, since a metric is one."""


def _quality(pair: Pair[Any], program: Program, ask: Ask) -> Metrics:
    batches = pair.test.draw(torch.Generator().manual_seed(EVALUATION_SEED))
    scored = pair.workload.score((program.answer(batch, ask(program.values(batch))), batch) for batch in batches)
    name = next(iter(scored))
    return {name: scored[name]}


def _latencies(pair: Pair[Any], program: Program, asks: dict[str, Ask], settings: RuntimesSettings) -> Metrics:
    values = program.values(first_batch(pair.test, _CPU))
    calls = {name: lambda ask=ask: ask(values) for name, ask in asks.items()}
    times = interleaved(calls, _CPU, rounds=settings.rounds, spread=settings.spread, seconds=settings.seconds)
    found: Metrics = {}
    for name, time in times.items():
        found |= _named(name, {"latency_ms": time.median, "latency_spread_ms": time.spread})
    return found


def _named(runtime: str, facts: Metrics) -> Metrics:
    return {f"student_{runtime.replace('-', '_')}_{name}": value for name, value in facts.items()}


EVALUATION = Evaluation(RuntimesSettings, run)
