"""Elements whose activations fluctuate least go, since a constant can stand in for them (FLAP, arXiv 2312.11983).

importance = mean over the element's channels k of Var(X_k) sum over j of W_jk^2, standardised within each group

X_k is channel k of what goes into the layer with the weight W that reads it, over all rows and positions of some training batches, and
the variance divides by their number less one. All groups share one threshold. What a dropped channel is on average is added to the bias of
the layer that read it, b_j += sum over dropped k of W_jk mean(X_k); a layer that has no bias, as Llama's have none, stays without. The
release squares the importances of attention once more before it takes their mean; here both kinds are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.searches._activations import Reader, by_element, readers, watch
from stillhouse.searches._batches import batches
from stillhouse.searches._shrink import Scores, ShrinkSettings, shrunk
from stillhouse.space.blueprint import Architecture, axes_of, groups_of, masked
from stillhouse.space.extraction import extract

if TYPE_CHECKING:
    from jaxtyping import Float


class FlapSettings(ShrinkSettings):
    """In how many steps elements go, from how many training batches they are scored each time, and whether biases stand in for them."""

    batches: int = Field(16, gt=0)
    compensated: bool = True


@dataclass
class Moments:
    """Number, sum and sum of squares of what goes into a layer, entry by entry, in double precision."""

    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0

    def add(self, value: Float[Tensor, "samples positions entries"]) -> None:
        """Counts a batch in."""
        rows = value.double().flatten(0, 1)
        self.count, self.total, self.squares = self.count + len(rows), self.total + rows.sum(0), self.squares + rows.square().sum(0)

    def mean(self) -> Float[Tensor, " entries"]:
        """The mean of all rows that were counted in."""
        mean: Tensor = self.total / self.count
        return mean

    def variance(self) -> Float[Tensor, " entries"]:
        """Over all rows; of one row it is 0."""
        around: Tensor = self.squares - self.total * self.mean()
        return around.clamp(min=0) / max(self.count - 1, 1)


@dataclass
class _Fluctuation:
    """Scores networks, and remembers what went into their layers for the biases of what is cut."""

    settings: FlapSettings
    seen: dict[str, Moments] = field(default_factory=dict)

    def score(self, problem: Problem[Any], model: nn.Module, masks: Scores, rng: torch.Generator) -> Scores:
        found, self.seen = readers(model, problem.groups), {}
        given = batches(problem, self.settings.batches, rng, next(model.parameters()).device)
        with masked(model, masks):
            watch(problem, model, found, given, lambda reader, value: self.seen.setdefault(reader.name, Moments()).add(value))
            return by_element(problem.groups, [(reader, self._importance(reader)) for reader in found if reader.name in self.seen])

    def _importance(self, reader: Reader) -> Float[Tensor, " entries"]:
        return self.seen[reader.name].variance() * reader.weight().double().square().transpose(0, 1).flatten(1).sum(1)

    def cut(self, supernet: nn.Module, architecture: Architecture) -> dict[str, Tensor]:
        """The kept weights, with biases for what is dropped."""
        state = extract(supernet, architecture)
        for reader in readers(supernet, groups_of(supernet)) if self.settings.compensated else []:
            if f"{reader.name}.bias" in state and reader.name in self.seen:
                missing = compensation(reader, self.seen[reader.name].mean(), architecture)
                kept = axes_of(reader.module)["bias"][0].kept(architecture) if "bias" in axes_of(reader.module) else slice(None)
                state[f"{reader.name}.bias"] += missing[kept].to(state[f"{reader.name}.bias"])
        return state


def compensation(reader: Reader, mean: Float[Tensor, " entries"], architecture: Architecture) -> Float[Tensor, " out"]:
    """(out,): what the dropped entries of a layer's input add to its output on average."""
    dropped = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
    dropped[reader.axis.kept(architecture)] = False
    weight = reader.weight().double().flatten(2).sum(2) if reader.weight().dim() > 2 else reader.weight().double()
    return weight @ (mean * dropped)


def standardised(scores: Float[Tensor, " _"], kept: tuple[int, ...]) -> Float[Tensor, " _"]:
    """exp((score - mean) / deviation) of what is kept, which has the order of the z-scores; -1 for what is dropped already."""
    found, index = torch.full_like(scores, -1.0), list(kept)
    own = scores[index]
    deviation = own.std() if len(index) > 1 else own.new_zeros(())
    found[index] = ((own - own.mean()) / deviation.clamp(min=1e-30)).exp()
    return found


def run(problem: Problem[Any], settings: FlapSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial. Raises UserError if the smallest network is above the budget, or no linear layer reads a group."""
    fluctuation = _Fluctuation(settings)
    yield from shrunk(problem, settings, fluctuation.score, rng, relative=standardised, cut=fluctuation.cut)


SEARCH = Search(FlapSettings, run)
