"""runtimes: what the student is worth where it may run outside of this library."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.runtimes import difference
from stillhouse.runtimes.asking import makes_ready
from stillhouse.runtimes.program import Program, capture, probes
from stillhouse.runtimes.runtime import Ask, telling
from stillhouse.runtimes.table import RUNTIMES, Name
from stillhouse.training.latency import interleaved
from stillhouse.training.score import EVALUATION_SEED, first_batch

_CPU = torch.device("cpu")


class RuntimesSettings(Settings):
    """Which runtimes, and when there are rounds enough, as for `latency`. All run on the CPU with as many threads as the stage."""

    runtimes: tuple[Name, ...] = Field(("torch", "pt2"), min_length=1)
    tolerance: float | None = Field(None, gt=0)
    """The largest difference from PyTorch at which a runtime is not refused; None takes that of each runtime."""
    rounds: int = Field(20, gt=0)
    spread: float = Field(0.05, gt=0)
    seconds: float = Field(5.0, ge=0)


def run(pair: Pair[Any], settings: RuntimesSettings, rng: torch.Generator) -> Metrics:
    """For each runtime the first metric on the test split, latency for the first test batch, bytes and difference from PyTorch.

    Of one that cannot run the student, or whose answers differ by more than the tolerance, there is `refused` alone, which is 1 then, and
    a remark that says why. Where a batch is made ready in Python, `ready` has the latency of that, which is in no runtime's.

    Raises UserError if the network reads no tensor of a batch.
    """
    student = copy.deepcopy(pair.student).to(_CPU)
    program = capture(pair.workload, student, probes(pair.train, pair.valid, rng))
    found: Metrics = {}
    asks: dict[str, Ask] = {}
    with tempfile.TemporaryDirectory() as place:
        for name in dict.fromkeys(settings.runtimes):
            file, refused = Path(place) / f"{name}-{RUNTIMES[name].file}", 0.0
            try:
                with telling(name):
                    asks[name], facts = _measured(pair, program, name, file, settings.tolerance, rng)
                    found |= _named(name, facts)
            except UserError as error:
                pair.remarks[name], refused = str(error), 1.0
                print(f"not measured: {error}")
            found |= _named(name, {"refused": refused})
        return found | _latencies(pair, program, asks, settings)


def _measured(
    pair: Pair[Any], program: Program, name: Name, file: Path, tolerance: float | None, rng: torch.Generator
) -> tuple[Ask, Metrics]:
    """How a runtime is asked, and what is known of it but its latency. Raises UserError if it is refused."""
    runtime = RUNTIMES[name]
    runtime.save(program, file, difference.calibration(program, pair.train, rng))
    ask = runtime.load(file, program)
    gap, limit = difference.largest(program, ask, pair.valid), runtime.tolerance if tolerance is None else tolerance
    if not gap <= limit:
        raise UserError(difference.told(name, gap, limit))
    return ask, {**_quality(pair, program, ask), "bytes": float(file.stat().st_size), "difference": gap}


def _quality(pair: Pair[Any], program: Program, ask: Ask) -> Metrics:
    batches = pair.test.draw(torch.Generator().manual_seed(EVALUATION_SEED))
    scored = pair.workload.score((program.answer(batch, ask(program.values(batch))), batch) for batch in batches)
    name = next(iter(scored))
    return {name: scored[name]}


def _latencies(pair: Pair[Any], program: Program, asks: dict[str, Ask], settings: RuntimesSettings) -> Metrics:
    if not asks:
        return {}
    batch = first_batch(pair.test, _CPU)
    values = program.values(batch)
    calls: dict[str, Callable[[], object]] = {name: lambda ask=ask: ask(values) for name, ask in asks.items()}  # type: ignore[misc]
    if makes_ready(program.body.network):
        calls["ready"] = lambda: program.values(batch)
    times = interleaved(calls, _CPU, rounds=settings.rounds, spread=settings.spread, seconds=settings.seconds)
    found: Metrics = {}
    for name, time in times.items():
        found |= _named(name, {"latency_ms": time.median, "latency_spread_ms": time.spread})
    return found


def _named(runtime: str, facts: Metrics) -> Metrics:
    return {f"student_{runtime.replace('-', '_')}_{name}": value for name, value in facts.items()}


EVALUATION = Evaluation(RuntimesSettings, run)
