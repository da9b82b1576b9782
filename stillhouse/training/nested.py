"""A network whose prefixes are networks of their own: trained once, it is cut at any budget without training again.

    L = task(whole) + sum over smaller ones of (task_weight task(smaller) + answer_weight distance(whole, smaller))

A smaller one is the first elements of each width group and the first blocks of each depth group, so that all share their weights
(SortedNet, arXiv 2309.00255, where they learn the task). Each step trains the whole network, the smallest and some drawn between them; with
an `answer_weight` these learn from the answer of the whole, which is not taught by them (the sandwich of BigNAS, arXiv 2003.11142;
gradients are added up, as there). The distance is KL(softmax(whole) || softmax(smaller)) of choices, and the squared difference of values.

Batch norms gather the statistics of the whole network alone; a prefix takes its own when it is cut or scored.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, mse_loss

from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Task
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.space.blueprint import Architecture, Group, groups_of, hard_masks, masked
from stillhouse.training import statistics
from stillhouse.training.score import EVALUATION_SEED, score

if TYPE_CHECKING:
    from jaxtyping import Float

_STEP = 1_000_003
"""Seeds of neighbouring steps lie this far apart."""


class NestedSettings(Settings):
    """Which smaller networks a step trains beside the whole one, and on what."""

    least: float = Field(0.25, gt=0, lt=1)
    """The share of each group that the smallest network keeps; no group becomes smaller than a search may make it."""
    drawn: int = Field(2, ge=0)
    """How many networks are drawn beside the smallest."""
    draw: Literal["each", "alike"] = "each"
    """Whether each group of a drawn network has a share of its own, between `least` and 1, or all have one."""
    task_weight: float = Field(1.0, ge=0)
    """What the task's own loss counts for in smaller networks."""
    answer_weight: float = Field(0.0, ge=0)
    """What the distance from the whole network's answer counts for in them."""

    @model_validator(mode="after")
    def _something(self) -> NestedSettings:
        if self.task_weight == self.answer_weight == 0:
            raise ValueError("task_weight or answer_weight should be more than 0: smaller networks would learn nothing")
        return self


def prefix(group: Group, share: float) -> tuple[int, ...]:
    """The first elements of a group: the share of them that is nearest, and at least the fewest that a search leaves."""
    return tuple(range(max(int(share * group.size + 0.5), group.minimum)))


class Nested(nn.Module):
    """What a network is trained on. The number of finished steps says what is drawn, and is kept with the checkpoints of a training."""

    steps: Tensor

    def __init__(self, settings: NestedSettings, task: Task[Any], network: nn.Module, seed: int) -> None:
        """Raises UserError if the network has no group that may become smaller."""
        super().__init__()
        self.settings, self.task, self.seed = settings, task, seed
        self.groups = groups_of(network)
        if all(group.size <= group.minimum for group in self.groups):
            raise UserError("teach.nested - wanted a network of which something may become smaller - there is nothing: leave nested out")
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def smaller(self) -> list[Architecture]:
        """Those of the step that comes next: the smallest, then the drawn ones."""
        rng, least = torch.Generator().manual_seed(self.seed + _STEP * int(self.steps)), self.settings.least
        shares = [[least] * len(self.groups)]
        for _ in range(self.settings.drawn):
            parts = torch.rand(1 if self.settings.draw == "alike" else len(self.groups), generator=rng).tolist()
            shares.append([least + (1 - least) * part for part in parts * (len(self.groups) // len(parts))])
        return [self._prefixes(each) for each in shares]

    def forward(self, network: nn.Module, batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        """What a part of a batch adds to the loss of the step."""
        whole = self.task.apply(network, batch)
        total = share.of(self.task.loss, whole, batch)
        for architecture in self.smaller():
            with statistics.ungathered(network), masked(network, self._masks(network, architecture)):
                total = total + self._learned(self.task.apply(network, batch), whole, batch, share)
        self.steps += share.last
        return total

    def validate(self, network: nn.Module, data: Data[Any]) -> Metrics:
        """The task's metrics of the whole network, with the first of the smallest and, before all, the mean of the two.

        So the epoch is chosen for students of all sizes: that which is best for the whole alone is often too early for small ones.
        """
        whole = score(self.task, network, data.valid)
        name, value = next(iter(whole.items()))
        rng, smallest = torch.Generator().manual_seed(EVALUATION_SEED), self.smaller()[0]
        with statistics.put_back(network), masked(network, self._masks(network, smallest)):
            statistics.take(network, self.task.apply, islice(data.train.draw(rng), statistics.ENOUGH))
            least = score(self.task, network, data.valid)[name]
        return {f"mean_{name}": (value + least) / 2, **whole, f"least_{name}": least}

    def _masks(self, network: nn.Module, architecture: Architecture) -> dict[str, Float[Tensor, " _"]]:
        return hard_masks(self.groups, architecture, next(network.parameters()).detach())

    def _learned(self, smaller: Output, whole: Output, batch: Any, share: Share) -> Float[Tensor, ""]:
        loss = self.settings.task_weight * share.of(self.task.loss, smaller, batch)
        return loss + self.settings.answer_weight * share.rows * distance(smaller, whole)

    def _prefixes(self, shares: list[float]) -> Architecture:
        return Architecture({group.name: prefix(group, share) for group, share in zip(self.groups, shares, strict=True)})


def distance(smaller: Output, whole: Output) -> Float[Tensor, ""]:
    """How far an answer is from that of the whole network, to which no gradient goes: 0 for equal ones."""
    if whole.meaning == "values":
        return mse_loss(smaller.prediction, whole.prediction.detach())
    ours, theirs = (log_softmax(value, dim=-1) for value in (smaller.prediction, whole.prediction.detach()))
    return kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()
