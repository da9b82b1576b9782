"""Samples of a known chain: the walk watched for a while from its steady state, all samples side by side."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.settings import Settings
from stillhouse.workloads.queue.solve import Solver
from stillhouse.workloads.queue.walk import Walk, births, deaths

_RATES, _TICKS, _STEPS = 5_000_000, 30_000, 100_000_000
"""What half a gigabyte and some seconds suffice for."""


class Simulation(Settings):
    """The published synthetic recipe; the defaults are those of M/M/1/K."""

    generator: Literal["queue"] = "queue"
    states: int = Field(20, ge=2)
    servers: int = Field(1, gt=0)
    rates: tuple[float, ...] = Field((25.0,), min_length=1)
    """At which 1, 2, ... jobs leave at once; times the busy servers."""
    light: tuple[float, ...] = Field((11.0, 12.0, 13.0, 14.0, 15.0), min_length=1)
    """Loads that are trained on."""
    light_samples: int = Field(10, gt=0)
    """Samples of each."""
    heavy: tuple[float, ...] = Field(tuple(float(load) for load in range(31, 61)), min_length=1)
    heavy_samples: int = Field(5, gt=0)
    duration: float = Field(1.0, gt=0)
    """Units of time that a sample is watched; states are noted at the ticks of a clock, (busiest rate + slack) times a unit."""
    slack: float | None = Field(None, gt=0)
    """None is the published one, servers * (heaviest light load + all rates)."""
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _positive(self) -> Simulation:
        for name in ("rates", "light", "heavy"):
            if min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} should all be above 0: got {min(getattr(self, name))}")
        return self

    @model_validator(mode="after")
    def _feasible(self) -> Simulation:
        samples = len(self.light) * self.light_samples + len(self.heavy) * self.heavy_samples
        rates = samples * self.states * (1 + min(len(self.rates), self.states))
        if rates > _RATES:
            raise ValueError(f"wanted at most {_RATES:,} rates, samples times states times ways to leave one - got {rates:.3g}")
        busiest = max(*self.light, *self.heavy) + self.servers * sum(self.rates)
        ticks = self.duration * (busiest + self.slack_of_clock)
        if not ticks <= _TICKS or not ticks * samples <= _STEPS:
            got = f"{ticks:.3g} ticks of {samples} samples"
            raise ValueError(f"wanted at most {_TICKS:,} ticks of the clock, and {_STEPS:,} over all samples - got {got}")
        return self

    @property
    def slack_of_clock(self) -> float:
        """How much faster than the busiest rate the clock ticks."""
        return self.slack or self.servers * (max(self.light) + sum(self.rates))

    def walk(self, load: Tensor) -> Walk:
        """The true chain under some loads, (loads,)."""
        return birth_death(load.double(), torch.tensor(self.rates, dtype=torch.float64), self.servers, self.states)


def birth_death(load: Tensor, rates: Tensor, servers: int, states: int) -> Walk:
    """Births at the rate of `load` (loads,); b jobs leave at once at `rates`[b - 1] times the busy servers."""
    down = deaths(states, len(rates))
    leave = rates[down.source - down.target - 1] * down.source.clamp(max=servers)
    every = torch.cat((load.unsqueeze(-1).expand(-1, states - 1), leave.expand(len(load), -1)), 1)
    return Walk(births(states) + down, every)


def simulate(settings: Simulation, load: Tensor, rng: torch.Generator) -> Tensor:
    """How often each state was seen in one sample of each load: (samples,) to (samples, states), whole numbers."""
    walk = settings.walk(load)
    ticks = walk.gamma.squeeze(-1) + settings.slack_of_clock
    number = torch.poisson(settings.duration * ticks, generator=rng)
    state = _drawn(Solver(walk).stationary(), rng)
    counts = torch.zeros(len(load), settings.states, dtype=torch.float64)
    sample = torch.arange(len(load))
    jumps = _Jumps(walk, ticks)
    for tick in range(int(number.max())):
        counts[sample, state] += (tick < number).to(counts)
        state = jumps.next(state, torch.rand(len(load), dtype=torch.float64, generator=rng))
    return counts.long()


def full_share(settings: Simulation, load: Tensor) -> Tensor:
    """The true share of time with a full queue under each load, (loads,)."""
    return Solver(settings.walk(load)).stationary()[:, -1]


class _Jumps:
    """Where a walk goes from a state, by a number drawn from [0, 1): transitions of a source lie side by side on a line."""

    def __init__(self, walk: Walk, ticks: Tensor) -> None:
        order = torch.argsort(walk.transitions.source, stable=True)
        self.target = walk.transitions.target[order]
        self.ends = (walk.rates / ticks.unsqueeze(-1))[:, order].cumsum(1)
        first = torch.searchsorted(walk.transitions.source[order], torch.arange(walk.states + 1))
        self.limits = torch.cat((self.ends.new_zeros(len(self.ends), 1), self.ends), 1)[:, first]

    def next(self, state: Tensor, drawn: Tensor) -> Tensor:
        """(samples,): beyond the last transition of its source a walk stays."""
        begin, end = (self.limits.gather(1, (state + shift).unsqueeze(-1)) for shift in (0, 1))
        place = begin + drawn.unsqueeze(-1)
        index = torch.searchsorted(self.ends, place, right=True).clamp(max=self.ends.shape[1] - 1)
        return torch.where(place < end, self.target[index], state.unsqueeze(-1)).squeeze(-1)


def _drawn(distribution: Tensor, rng: torch.Generator) -> Tensor:
    return torch.multinomial(distribution, 1, generator=rng).squeeze(-1)
