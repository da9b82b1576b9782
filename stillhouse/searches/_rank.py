"""Searches without training: random architectures inside the budget, ranked by what the gradients of fresh networks say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._batches import batches
from stillhouse.searches._candidate import magnitudes
from stillhouse.searches._draw import ATTEMPTS, draw
from stillhouse.searches._rounding import Rounding
from stillhouse.searches._several import Candidate, seeds, trials
from stillhouse.space.blueprint import Architecture
from stillhouse.training import machine, workers
from stillhouse.training.fit import FitSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class RankSettings(Settings):
    """How many networks are drawn, how many of them are finalists, and how these are trained before they are scored (`fit`).

    Its epochs are those of all finalists together; None leaves them as cut.
    """

    candidates: int = Field(gt=0)
    """Different architectures that are drawn and ranked; fewer where the space has fewer of them inside the band."""
    finalists: int = Field(1, gt=0)
    """How many of the highest are validated, of which the best one wins."""
    batches: int = Field(4, ge=2)
    """Training batches whose gradients are looked at, the same ones for all candidates."""
    band: float = Field(0.02, gt=0, le=1)
    """How far below the budget a candidate may cost, as a share of the budget."""
    multiple: int = Field(1, gt=0)
    fit: FitSettings | None = None

    @model_validator(mode="after")
    def _whole(self) -> RankSettings:
        if self.finalists > self.candidates:
            raise ValueError(f"finalists should be at most as many as candidates: got {self.finalists} and {self.candidates}")
        if self.fit and self.fit.epochs % self.finalists:
            raise ValueError(f"fit.epochs should be a multiple of finalists, which share them: got {self.fit.epochs} and {self.finalists}")
        return self


Score = Callable[[Problem[Any], nn.Module, list[Any]], float]
"""Takes a problem, a fresh network and the batches to take gradients of; higher is better."""


def ranked(problem: Problem[Any], settings: RankSettings, score: Score, rng: torch.Generator) -> Iterator[Trial]:
    """One trial for each finalist, the highest score first, with weights cut out of the supernet."""
    supernet = problem.supernet()
    architectures = _different(problem, settings, magnitudes(supernet, problem.groups), rng)
    device = next(supernet.parameters()).device
    given = batches(problem, settings.batches, rng, device)
    values = _scores(problem, architectures, lambda model: score(problem, model, given), rng)
    best = sorted(range(len(values)), key=lambda index: -values[index])[: settings.finalists]
    share = settings.fit and settings.fit.model_copy(update={"epochs": settings.fit.epochs // settings.finalists})
    finalists = [
        Candidate(architectures[index], seed, {"score": values[index]}) for index, seed in zip(best, seeds(len(best), rng), strict=True)
    ]
    yield from trials(problem, "finalist", supernet, finalists, share)


def _scores(
    problem: Problem[Any], architectures: list[Architecture], score: Callable[[nn.Module], float], rng: torch.Generator
) -> list[float]:
    """Of a fresh network of each architecture, which is drawn by a seed of its own."""
    own, values = seeds(len(architectures), rng), list[float]()

    def work(index: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        machine.seed(own[index])
        return {}, {"score": score(problem.static(architectures[index]))}

    for index, (_, found) in enumerate(workers.shared("draw", len(architectures), work), start=1):
        values.append(found["score"])
        problem.log({"draw": index, "draws": len(architectures), "score": values[-1]})
    return values


def weight_gradients(problem: Problem[Any], model: nn.Module, batch: Any) -> list[Float[Tensor, "_ _ *_"]]:
    """The gradient of the task's loss for each tensor of two or more dimensions that is no bias, so for none of a norm either.

    Zeros for a tensor that the loss does not depend on.
    """
    weights = [value for name, value in model.named_parameters() if value.dim() > 1 and not name.endswith("bias")]
    loss = problem.loss(problem.apply(model, batch), batch)
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(weight) if gradient is None else gradient for weight, gradient in zip(weights, found, strict=True)]


def _different(
    problem: Problem[Any], settings: RankSettings, scores: dict[str, Float[Tensor, " _"]], rng: torch.Generator
) -> list[Architecture]:
    rounding = Rounding.of(problem, settings.multiple)
    found: dict[str, Architecture] = {}
    vain = 0
    while len(found) < settings.candidates and vain < ATTEMPTS:
        architecture = draw(rounding, settings.band, scores, rng)
        vain = vain + 1 if architecture.to_json() in found else 0
        found.setdefault(architecture.to_json(), architecture)
    return list(found.values())
