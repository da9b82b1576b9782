"""Elements with the smallest activations go, layers alike, and the depth is tried out (Minitron, arXiv 2407.14679, section 2).

importance = L2 norm, over samples b and the element's channels, of mean over positions t of |a_bt|

a is what goes into the layer that reads the element. Widths of all layers shrink by one share, so that the student keeps its teacher's
form; a candidate lacks some of the blocks with the least influence (1 - mean of cos between what goes in and what comes out), and of the
candidates, which share the epochs of `fit`, the best on the validation split wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._activations import Reader, readers, watch
from stillhouse.searches._batches import batches
from stillhouse.searches._candidate import candidate
from stillhouse.searches._influence import influences, without
from stillhouse.searches._rounding import Rounding
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class MinitronSettings(Settings):
    """The candidates, and how they are trained: `fit.epochs` are those of all together, None leaves them as cut."""

    batches: int = Field(16, gt=0)
    """Training batches whose activations are looked at."""
    blocks: tuple[int, ...] = Field((0,), min_length=1)
    """How many blocks each candidate lacks; where there are not so many, those that there are."""
    fit: FitSettings | None = None
    multiple: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _whole_epochs(self) -> MinitronSettings:
        if min(self.blocks) < 0 or len(set(self.blocks)) < len(self.blocks):
            raise ValueError(f"blocks should be different numbers from 0 on: got {list(self.blocks)}")
        if self.fit and self.fit.epochs % len(self.blocks):
            raise ValueError(f"fit.epochs should be a multiple of the number of blocks: got {self.fit.epochs} and {len(self.blocks)}")
        return self


def activations(problem: Problem[Any], model: nn.Module, given: list[Any]) -> dict[str, Float[Tensor, " _"]]:
    """Group name -> (size,): the importance of each element; 0 for blocks."""
    squares = {group.name: torch.zeros(group.size) for group in problem.groups}

    def see(reader: Reader, value: Float[Tensor, "samples positions entries"]) -> None:
        entries = value.float().abs().mean(1).square().sum(0).cpu()
        for name, part in reader.axis.sums(entries):
            if name in squares:
                squares[name] += part

    watch(problem, model, readers(model, problem.groups), given, see)
    return {name: square.sqrt() for name, square in squares.items()}


def run(problem: Problem[Any], settings: MinitronSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial per candidate. Raises UserError if the smallest network is above the budget, or activations cannot be seen."""
    rounding = Rounding.of(problem, settings.multiple)
    rounding.require_feasible()
    supernet = problem.supernet()
    given = batches(problem, settings.batches, rng, next(supernet.parameters()).device)
    found = influences(problem, supernet, given) if max(settings.blocks) else {}
    scores = activations(problem, supernet, given) | found
    shares = {group.name: 1.0 for group in problem.groups if group.kind == "width"}
    training = settings.fit and settings.fit.model_copy(update={"epochs": settings.fit.epochs // len(settings.blocks)})
    for number in settings.blocks:
        architecture = rounding.fit(shares, without(problem, found, number), scores)
        problem.log({"lacks": number, "candidates": len(settings.blocks)})
        seed = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng)))
        scratch = problem.scratch / f"lacks{number}" if problem.scratch else None
        yield candidate(problem, architecture, extract(supernet, architecture), seed, training=training, scratch=scratch)


SEARCH = Search(MinitronSettings, run)
