"""Differentiable model scaling: weights and structure trained together until the network fits (arXiv 2405.07194).

The structure is one number per group, the share that is pruned, turned into soft masks by a differentiable top-k; the
cost is pressed under a target that falls from the full network's to the budget over most of the search.

Where paper and release differ or leave a gap: ranks are half-integers (none is lost while nothing is pruned), depth is
costed by hard decisions with soft gradients as widths are, the target falls at every step and not every epoch, and the
widths are scaled at the end until the budget is met exactly. Where the search has losses, weights and structure follow the teacher
too, as in the paper's language models. With `structure_only` the weights stand still (the paper's DMS_p-, table 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.searches._candidate import candidate
from stillhouse.searches._rounding import Rounding, most_important
from stillhouse.space.blueprint import Architecture, full, masked
from stillhouse.space.extraction import extract
from stillhouse.space.structure import Counts, Structure, geometric_target, resource_loss
from stillhouse.training import ranks
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.lessons import lesson
from stillhouse.training.progress import Progress

if TYPE_CHECKING:
    from jaxtyping import Float


class DmsSettings(Settings):
    """The method's constants, under the names of this project; the defaults are the paper's unless they say otherwise."""

    fit: FitSettings
    """How the supernet's weights are trained; the structure shares the optimiser, at a rate of its own."""
    structure_only: bool = False
    """Whether the supernet's weights stay as they are, for a comparison of searches on one trained network; the paper takes about 800
    steps. `fit` then trains the structure and the adapters of losses; batch norms see each batch, and take new statistics at the end."""
    structure_learning_rate: float = Field(5e-3, gt=0)
    """Constant. Too small if `cost` ends above `target` in the log; the widths are then cut to the budget at the end."""
    resource_weight: float = Field(2.0, gt=0)
    balanced: bool = True
    """Whether that weight is relative to the gradient of the task's loss, so that it need not be tuned for every task.
    The paper's own runs have False and a weight of 1, which suits a cross-entropy."""
    decay: float = Field(0.8, gt=0, le=1)
    """The share of the steps over which the target falls; after them it stays, and so does the depth."""
    sharpness: float = Field(1.0, gt=0)
    """Multiplies the temperature of every mask."""
    normalise_ranks: bool = True
    """False puts raw importances in the place of ranks: the paper's ablation, which is known to fail."""
    multiple: int = Field(1, gt=0)
    """Widths of the found network are multiples of it."""


@dataclass(frozen=True)
class _Joint:
    """The supernet and its structure under training; `full_cost` and `steps` (of the falling target) shape the target."""

    problem: Problem[Any]
    settings: DmsSettings
    supernet: nn.Module
    structure: Structure
    lesson: nn.Module
    rounding: Rounding
    full_cost: float
    steps: int

    def loss(self, batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        """The loss of what is learned under soft masks, plus the weighted excess of the cost, which is one for all parts of a batch."""
        masks, counts = self.structure()
        with masked(self.supernet, masks):
            task: Tensor = self.lesson(self.problem.apply(self.supernet, batch), batch, share)
        if not share.first:
            return task
        excess = resource_loss(self.problem.cost(counts), self.target())
        return task + self.settings.resource_weight * excess.to(task.dtype)

    def target(self) -> Float[Tensor, ""]:
        """What the cost should be at this step."""
        budget = min(self.problem.budget, self.full_cost)
        return geometric_target(self.full_cost, budget, self.structure.updates.double() / self.steps)

    def update(self) -> None:
        """After each step: the importances move by the gradient of the whole batch, on each device alike."""
        ranks.add_up([self.structure.gradient, self.structure.task_gradient])
        self.structure.update()

    def parameters(self) -> list[dict[str, Any]]:
        """Two optimiser groups: decay of a pruning ratio would mean growth, and a cosine would leave the last targets unmet."""
        structure = {"params": list(self.structure.parameters()), "lr": self.settings.structure_learning_rate}
        weights = [weight for weight in [*self.supernet.parameters(), *self.lesson.parameters()] if weight.requires_grad]
        return [{"params": weights}, structure | {"weight_decay": 0.0, "constant": True}]

    @torch.no_grad()
    def counts(self) -> Counts:
        """What the masks keep: group name -> a scalar for widths, (size,) for depth."""
        return self.structure()[1]

    def progress(self) -> dict[str, float]:
        """The cost of what the masks keep, and its target."""
        return {"cost": float(self.problem.cost(self.counts())), "target": float(self.target())}


def run(problem: Problem[Any], settings: DmsSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial, with the weights of the trained supernet. Raises UserError if the smallest network is above the budget."""
    joint = _joint(problem, settings)
    parts = nn.ModuleDict({"supernet": joint.supernet, "structure": joint.structure, "lesson": joint.lesson})
    epochs = fit(
        parts,
        joint.loss,
        problem.data.train,
        settings.fit,
        rng,
        progress=Progress(problem.scratch),
        parameters=joint.parameters(),
        after_step=joint.update,
        split=problem.split,
    )
    for epoch in epochs:
        problem.log({"epoch": epoch.index, "epochs": settings.fit.epochs, "loss": epoch.loss} | joint.progress())
    architecture = _architecture(joint)
    yield candidate(problem, architecture, extract(joint.supernet, architecture), rng)


def _joint(problem: Problem[Any], settings: DmsSettings) -> _Joint:
    rounding = Rounding.of(problem, settings.multiple)
    rounding.require_feasible()
    supernet = problem.supernet()
    if settings.structure_only:
        supernet.requires_grad_(False)
    steps = max(1, round(settings.decay * settings.fit.epochs * problem.data.train.length))
    structure = Structure(
        problem.groups,
        sharpness=settings.sharpness,
        normalise_ranks=settings.normalise_ranks,
        freeze_depth_after=steps,
        balance=settings.resource_weight if settings.balanced else None,
    ).to(next(supernet.parameters()).device)
    return _Joint(problem, settings, supernet, structure, lesson(problem, supernet), rounding, rounding.price(full(problem.groups)), steps)


def _architecture(joint: _Joint) -> Architecture:
    """What the masks keep, its widths scaled until the budget is met, which the search does only about."""
    groups, counts = joint.problem.groups, joint.counts()
    kept = {group.name: max(round(float(counts[group.name].sum())), group.minimum) for group in groups}
    scores = {name: importance.cpu() for name, importance in joint.structure.importances().items()}
    shares = {group.name: kept[group.name] / group.size for group in groups if group.kind == "width"}
    blocks = {group.name: most_important(scores[group.name], kept[group.name]) for group in groups if group.kind == "depth"}
    return joint.rounding.fit(shares, blocks, scores)


SEARCH = Search(DmsSettings, run, spreads=True)
