"""Trials of several candidates, each from its own seed, so that it is all the same in which order and in which process they are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches._candidate import candidate
from stillhouse.space.blueprint import Architecture
from stillhouse.space.cost import counts_of
from stillhouse.space.extraction import extract
from stillhouse.training import machine, workers
from stillhouse.training.fit import FitSettings


@dataclass(frozen=True)
class Candidate:
    """An architecture, the seed of all that is drawn for it, and what is logged of it."""

    architecture: Architecture
    seed: int
    facts: Mapping[str, float] = field(default_factory=dict)


def seeds(count: int, rng: torch.Generator) -> list[int]:
    """As many seeds, each of which has the say over one candidate."""
    return [int(torch.randint(2**62, (), generator=rng)) for _ in range(count)]


def trials(
    problem: Problem[Any], name: str, supernet: nn.Module, candidates: Sequence[Candidate], training: FitSettings | None
) -> Iterator[Trial]:
    """One trial for each candidate, in their order, with weights cut out of the supernet; `name` is what the log calls one of them."""

    def work(index: int) -> tuple[Mapping[str, Tensor], Mapping[str, float]]:
        each = candidates[index]
        problem.log({name: index + 1, f"{name}s": len(candidates), **each.facts})
        scratch = problem.scratch / f"{name}{index + 1}" if problem.scratch else None
        weights = extract(supernet, each.architecture)
        trial = candidate(problem, each.architecture, weights, machine.seed(each.seed), training=training, scratch=scratch)
        return trial.weights or {}, trial.metrics

    for each, (weights, metrics) in zip(candidates, workers.shared(name, len(candidates), work), strict=True):
        yield Trial(each.architecture, float(problem.cost(counts_of(problem.groups, each.architecture))), dict(metrics), weights)
