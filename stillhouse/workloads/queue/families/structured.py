"""Chains with one rate for each number of jobs that leave at once: M/M/1/K, M/M/m/m+r, multiple service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.queue.chain import Chain, ChainSettings, Prior, with_others
from stillhouse.workloads.queue.walk import Transitions, deaths

if TYPE_CHECKING:
    from jaxtyping import Float


class StructuredSettings(ChainSettings):
    """Up to `jobs` jobs leave at once, at a rate for each number, times the busy servers. `servers` 1 and `jobs` 1 are M/M/1/K,
    `servers` m is M/M/m/m+r, `jobs` d is multiple service."""

    family: Literal["structured"] = "structured"
    servers: int = Field(1, gt=0)
    jobs: int = Field(1, gt=0)
    reach: int | None = Field(None, gt=0)
    """With a penalty, the other transitions over at most so many states are free as well; None takes all there are."""


class Structured(nn.Module):
    """One rate for each number of jobs that leave at once."""

    servers: Tensor
    jobs: Tensor

    def __init__(self, settings: StructuredSettings, known: Transitions) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.zeros(settings.jobs))
        self.register_buffer("servers", known.source.clamp(max=settings.servers).double(), persistent=False)
        self.register_buffer("jobs", known.source - known.target - 1, persistent=False)

    def forward(self, load: Float[Tensor, " loads"]) -> Prior:
        """The same rates for every load."""
        rates = self.logarithm.double().exp()[self.jobs] * self.servers
        return rates.expand(load.shape[0], -1), load.new_zeros(()), {}


def structured(settings: StructuredSettings, states: int) -> Chain:
    """M/M/1/K, M/M/m/m+r or multiple service."""
    known = deaths(states, settings.jobs)
    return with_others(settings, Structured(settings, known), known, settings.reach)


def build(settings: StructuredSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Chain:
    """The chain of as many states as the data have; nothing of it may be searched."""
    return structured(settings, sizes["states"])


FAMILY = Family(StructuredSettings, build)
