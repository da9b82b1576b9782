"""Chains with a rate for every transition downward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.queue.chain import Chain, ChainSettings, Free, with_others
from stillhouse.workloads.queue.walk import deaths


class TriangularSettings(ChainSettings):
    """Every transition downward has a rate of its own; upward by more than one only with a penalty."""

    family: Literal["triangular"] = "triangular"
    reach: int | None = Field(None, gt=0)
    """How far a transition may lead, in states; None takes all there are."""
    start: float = Field(0.01, gt=0)
    """Where the rates of jumps over more than one state begin, in units of the mean training load."""


def triangular(settings: TriangularSettings, states: int) -> Chain:
    """Every transition downward, and with a penalty every transition upward."""
    known = deaths(states, settings.reach or states)
    start = torch.full((len(known.source),), settings.start).masked_fill(known.source - known.target == 1, 1.0)
    return with_others(settings, Free(start, None), known, settings.reach)


def build(settings: TriangularSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Chain:
    """The chain of as many states as the data have; nothing of it may be searched."""
    return triangular(settings, sizes["states"])


FAMILY = Family(TriangularSettings, build)
