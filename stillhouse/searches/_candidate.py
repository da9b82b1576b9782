"""From an architecture to a trial: its network, with the supernet's weights cut to size, trained for a while and scored."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.space.blueprint import Architecture, Axis, Group, axes_of, axis_mask
from stillhouse.space.cost import counts_of
from stillhouse.space.extraction import give
from stillhouse.training import statistics
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.lessons import lesson
from stillhouse.training.progress import Progress

if TYPE_CHECKING:
    from jaxtyping import Float


def candidate(
    problem: Problem[Any],
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    rng: torch.Generator,
    *,
    training: FitSettings | None = None,
    scratch: Path | None = None,
) -> Trial:
    """A trial of `architecture` that starts from `weights` (the state of its static network), and trains if asked to.

    If not, batch norms get the statistics of the cut network: those of the whole one are of sums that are no longer taken.
    """
    model = problem.static(architecture)
    give(model, weights)
    if training:
        train(problem, model, training, rng, scratch)
    else:
        take_statistics(problem, model, rng)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return Trial(architecture, float(problem.cost(counts_of(problem.groups, architecture))), problem.validate(model), state)


def train(problem: Problem[Any], model: nn.Module, training: FitSettings, rng: torch.Generator, scratch: Path | None) -> None:
    """Trains a network where it lies, on the task and on what the teacher is asked for; goes on from what lies in `scratch`."""
    both = nn.ModuleDict({"network": model, "lesson": lesson(problem, model)})

    def loss(batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        found: Tensor = both["lesson"](problem.apply(model, batch), batch, share)
        return found

    for epoch in fit(both, loss, problem.data.train, training, rng, progress=Progress(scratch), split=problem.split):
        problem.log({"epoch": epoch.index, "epochs": training.epochs, "loss": epoch.loss})


def take_statistics(problem: Problem[Any], model: nn.Module, rng: torch.Generator) -> None:
    """Batch norms get the statistics of the network as it stands, over some training batches."""
    statistics.take(model, problem.apply, islice(problem.data.train.draw(rng), statistics.ENOUGH))


def magnitudes(
    model: nn.Module, groups: tuple[Group, ...], masks: Mapping[str, Float[Tensor, " _"]] | None = None
) -> dict[str, Float[Tensor, " _"]]:
    """Group name -> (size,): the norm of all weights that read or write each element, blocks of a depth group being equal.

    Only weights of two or more dimensions count, each tensor divided by its root mean square, so that layers of
    different scale have equal say. It is a fair guess where the weights are a teacher's, and as good as any draw where
    they are fresh. Weights that read or write what `masks` drop do not count.
    """
    squares = {group.name: torch.zeros(group.size) for group in groups}
    for module in model.modules():
        for name, axes in axes_of(module).items():
            weight = getattr(module, name)
            if weight is not None and weight.dim() > 1 and name != "bias":
                weight = weight.detach().float().cpu()
                _add(squares, _left(weight.square() / weight.square().mean().clamp(min=1e-30), axes, masks or {}), axes)
    return {name: square.sqrt() for name, square in squares.items()}


def _left(weight: Float[Tensor, "*shape"], axes: tuple[Axis, ...], masks: Mapping[str, Float[Tensor, " _"]]) -> Float[Tensor, "*shape"]:
    for dim, axis in enumerate(axes):
        mask = axis_mask(masks, axis, weight)
        if mask is not None:
            weight = weight * mask.view([-1 if other == dim else 1 for other in range(weight.dim())])
    return weight


def _add(squares: dict[str, Float[Tensor, " _"]], weight: Float[Tensor, "*shape"], axes: tuple[Axis, ...]) -> None:
    for dim, axis in enumerate(axes):
        others = [other for other in range(weight.dim()) if other != dim]
        for group, part in axis.sums(weight.sum(others)):
            squares[group] += part
