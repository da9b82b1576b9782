"""A forecast that needs the edges: every node follows the weighted mean of its neighbours, and edges come and go.

x_v(t + 1) = own x_v(t) + neighbours m_v(t) + noise, where m_v(t) is the mean of x_u(t) over the edges u -> v present at t,
weighted by their weights at t, and 0 where there is none. Every node has twice `degree` possible neighbours, of which one
in two is present; what an edge weighs is drawn anew at every step.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.settings import Settings
from stillhouse.workloads.graphs.temporal.panel import Events, Panel, assemble

EDGES = 20_000_000
"""Possible edges at all steps together: some two gigabytes."""
BURN_IN = 200
"""Steps that are left out at the beginning, after which the start at zero is forgotten."""


class Planted(Settings):
    """The series is stationary because `own` + `neighbours` is less than 1."""

    generator: Literal["planted"]
    nodes: int = Field(50, gt=1, le=5000)
    steps: int = Field(500, gt=1, le=100_000)
    degree: int = Field(2, gt=0)
    """The mean number of edges into a node."""
    churn: float = Field(0.1, ge=0, le=1)
    """How likely a possible edge is to appear or to vanish at a step."""
    own: float = Field(0.15, ge=0, lt=1)
    neighbours: float = Field(0.8, ge=0, lt=1)
    noise: float = Field(1.0, gt=0)
    """Standard deviation of what no model can foresee."""
    seed: int = Field(42, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Planted:
        if self.own + self.neighbours >= 1:
            raise ValueError(f"wanted own + neighbours less than 1 - got {self.own + self.neighbours:g}")
        if 2 * self.degree >= self.nodes:
            raise ValueError(f"wanted a degree less than half the {self.nodes} nodes - got {self.degree}")
        if (count := (self.steps + BURN_IN) * self.nodes * 2 * self.degree) > EDGES:
            raise ValueError(f"wanted at most {EDGES:,} edges, steps times nodes times twice the degree - got {count:.3g}")
        return self


def generate(settings: Planted) -> Panel:
    """(nodes, steps, 1 channel), and directed edges without self loops; weights are 0.5 to 1.5."""
    rng = torch.Generator().manual_seed(settings.seed)
    steps = settings.steps + BURN_IN
    source, target = _possible(settings, rng)
    weight = torch.rand(steps, len(source), generator=rng, dtype=torch.float64) + 0.5
    present = _present(steps, len(source), settings.churn, rng)
    noise = settings.noise * torch.randn(steps, settings.nodes, generator=rng, dtype=torch.float64)
    series = _simulated(settings, noise, (source, target), weight * present)[BURN_IN:]
    step, pair = present[BURN_IN:].nonzero(as_tuple=True)
    events = Events(step, source[pair], target[pair], weight[BURN_IN:][step, pair])
    return assemble(series.T[:, :, None].contiguous(), ["x"], events, static=False)


def _possible(settings: Planted, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(nodes x 2 degree,) each: distinct random sources of every node, none of them itself."""
    order = torch.rand(settings.nodes, settings.nodes, generator=rng).fill_diagonal_(2.0).argsort(1)
    target = torch.arange(settings.nodes).repeat_interleave(2 * settings.degree)
    return order[:, : 2 * settings.degree].flatten(), target


def _present(steps: int, pairs: int, churn: float, rng: torch.Generator) -> Tensor:
    """(steps, pairs), bool: a chain of two states that are equally likely."""
    changes = torch.rand(steps, pairs, generator=rng) < churn
    changes[0] = torch.rand(pairs, generator=rng) < 0.5
    return changes.cumsum(0) % 2 == 1


def _simulated(settings: Planted, noise: Tensor, ends: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
    """(steps, nodes); `weight` (steps, pairs) is 0 where an edge is absent."""
    source, target = ends
    total = torch.zeros_like(noise).index_add(1, target, weight)
    share = torch.where(weight > 0, weight / total[:, target], 0.0)
    series = [noise[0]]
    for step in range(len(noise) - 1):
        mean = torch.zeros_like(noise[0]).index_add(0, target, share[step] * series[-1][source])
        series.append(settings.own * series[-1] + settings.neighbours * mean + noise[step + 1])
    return torch.stack(series)
