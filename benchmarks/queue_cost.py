"""Queues: seconds and memory of one gradient of the steady state by each method, and the variance of the stopped sum."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks._cells import Row
from stillhouse.workloads.queue.gradients import Exact, Infinity, Truncated, Unrolled, draw_terms, steady_state, stopped_sum
from stillhouse.workloads.queue.simulate import birth_death
from stillhouse.workloads.queue.solve import Solver
from stillhouse.workloads.queue.spectrum import second_modulus
from stillhouse.workloads.queue.walk import Walk, births, deaths

name = "queue_cost"
expected_seconds = 1000
SIZES = (20, 200, 2000, 20000)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.1)
"""Shares of the stopping probability at which the variance becomes infinite."""
settings = {"seeds": 3, "threads": 1, "load": 13.0, "rate": 25.0, "scattered": 3, "draws": 100_000, "variance_seeds": 20}
METHODS: dict[str, Any] = {
    "infinity": Infinity(),
    "infinity_followed": Infinity(forward="iterate"),
    "exact": Exact(),
    "truncated": Truncated(terms=16),
    "dc_bptt_16": Unrolled(ticks=16),
    "dc_bptt_128": Unrolled(ticks=128),
}


@dataclass(frozen=True)
class Case:
    """`banded` is M/M/1/K; `scattered` has a few further transitions from each state to random lower ones, which fill up an LU.

    `dense` None lets the number of states decide.
    """

    chain: str
    states: int
    method: str
    dense: bool | None = None

    @property
    def possible(self) -> bool:
        """Whether it fits: a matrix of 20,000 states squared and its factors have 6.4 GB, and would take hours."""
        return self.states < 20000 or not self.dense

    def walk(self, seed: int) -> Walk:
        """One load."""
        if self.chain == "banded":
            load, rate = (torch.tensor([float(settings[key])], dtype=torch.float64) for key in ("load", "rate"))
            return birth_death(load, rate, 1, self.states)
        return _scattered(self.states, torch.Generator().manual_seed(seed))


def run(data: Path | None) -> Iterator[Row]:
    """Processor seconds of the fastest of some gradients, and the megabytes added at the peak, each case in its own process."""
    for case in _cases():
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            measured = pool.map(_measured, [(case, seed) for seed in range(int(settings["seeds"]))], chunksize=1)
        for metric, values in zip(("gradient_seconds", "megabytes"), zip(*measured, strict=True), strict=True):
            yield _row(f"{case.chain} {case.states}", case.method, metric, list(values))
    yield from _variance()


def _cases() -> Iterator[Case]:
    every = [Case(chain, states, method) for chain in ("banded", "scattered") for states in SIZES for method in METHODS]
    matrices = [Case(chain, states, "exact_dense", dense=True) for chain in ("banded", "scattered") for states in SIZES[1:]]
    return (case for case in every + matrices if case.possible)


def _scattered(states: int, rng: torch.Generator) -> Walk:
    every, count = births(states) + deaths(states, 1), int(settings["scattered"])
    source = torch.arange(1, states).repeat(count)
    target = (torch.rand(len(source), generator=rng, dtype=torch.float64) * source).long()
    far = type(every)(states, source, target)
    load, rate = float(settings["load"]), float(settings["rate"])
    rates = [torch.full((states - 1,), load), torch.full((states - 1,), rate), torch.full((len(source),), 0.02 * rate)]
    return Walk(every + far, torch.cat(rates).double().unsqueeze(0))


def _measured(task: tuple[Case, int]) -> tuple[float, float]:
    case, seed = task
    torch.set_num_threads(int(settings["threads"]))
    torch.manual_seed(seed)
    walk = case.walk(seed)
    weights = torch.randn(1, case.states, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    warm = birth_death(torch.ones(1), torch.ones(1), 1, 300)
    _gradient(warm, Exact(), torch.ones(1, 300), None)  # loads what is imported late
    before, method = _peak(), METHODS[case.method.removesuffix("_dense")]
    times = [_gradient(walk, method, weights, case.dense)]
    times += [_gradient(walk, method, weights, case.dense) for _ in range(2 if times[0] < 2 else 0)]
    return min(times), _peak() - before


def _gradient(walk: Walk, method: Any, weights: Tensor, dense: bool | None) -> float:
    """Seconds of processor time, which neighbours on the machine disturb less than the clock."""
    rates = walk.rates.clone().requires_grad_()
    started = time.process_time()
    (steady_state(rates, walk.transitions, method, dense=dense) * weights).sum().backward()
    return time.process_time() - started


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _variance() -> Iterator[Row]:
    """The deviation of one draw of d pi_0 / d mu, over its true value, and how many products a draw takes."""
    torch.set_num_threads(int(settings["threads"]))
    walk = Case("banded", 20, "infinity").walk(0)
    solver = Solver(walk)
    steady = solver.stationary()
    value = torch.zeros_like(steady)
    value[:, 0] = 1
    value = value - steady[:, :1]
    down = walk.transitions.source > walk.transitions.target
    true = walk.gradient(steady, solver.future(steady, value))[:, down].sum()
    limit = 1 - second_modulus(walk, steady).square().item()
    for share in SHARES:
        found = [_deviation(walk, steady, value, down, share * limit, seed) for seed in range(int(settings["variance_seeds"]))]
        method = f"stop at {share:g} of the limit {limit:.3f}"
        yield _row("estimator", method, "relative_deviation", [float(deviation / true.abs()) for deviation, _ in found])
        yield _row("estimator", method, "products", [products for _, products in found])


def _deviation(walk: Walk, steady: Tensor, value: Tensor, down: Tensor, stop: float, seed: int) -> tuple[Tensor, float]:
    """All draws are of one walk, so that the sum for each number of terms is made once and looked up."""
    torch.manual_seed(seed)
    terms = draw_terms(torch.full((int(settings["draws"]),), stop, dtype=torch.float64)).long()
    most = int(terms.max())
    every = Walk(walk.transitions, walk.rates.expand(most, -1))
    stops = torch.full((most,), stop, dtype=torch.float64)
    sums = stopped_sum(every, value.expand(most, -1), stops, torch.arange(1, most + 1))
    return walk.gradient(steady, sums)[:, down].sum(1)[terms - 1].std(), terms.double().mean().item()


def _row(group: str, method: str, metric: str, values: list[float]) -> Row:
    spread = stdev(values) if len(values) > 1 else 0.0
    return {"set": group, "method": method, "metric": metric, "mean": mean(values), "sd": spread, "seeds": len(values)}
