"""The differentiable top-k: one learnable number per group says how many of its elements stay (arXiv 2405.07194, section 3).

An element's mask is sigmoid(sharpness * (rank - ratio)), where its rank among its group by importance lies in (0, 1):
so one scalar, the share that is pruned, moves the threshold through the elements, whatever the scale of the importance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Group

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Masks = dict[str, "Float[Tensor, ' _']"]
"""Group name -> (size,)"""
Counts = dict[str, "Float[Tensor, ''] | Float[Tensor, ' _']"]
"""Width group -> a scalar; depth group -> (size,)"""
AVERAGE = 0.99
"""Decay of the moving average of importance."""


def half_integer_ranks(
    importance: Float[Tensor, " elements"], group: Int[Tensor, " elements"], size: Float[Tensor, " elements"]
) -> Float[Tensor, " elements"]:
    """(rank + 1/2) / size of each element within its group, least important first; ties by index (after eq. 2).

    All are (elements,): `group` is sorted and `size` is the size of the element's group. The paper's ranks lack the 1/2;
    with it the number of elements above a threshold a is round((1 - a) * size) and none is lost at a = 0.
    """
    by_importance = torch.sort(importance, stable=True).indices
    order = by_importance[torch.sort(group[by_importance], stable=True).indices]
    place = torch.arange(len(group), device=group.device)
    first = torch.searchsorted(group, group)
    return torch.empty_like(importance).scatter(0, order, (place - first + 0.5) / size)


class Structure(nn.Module):
    """Pruning ratios and importances of all groups, as one vector each, and the masks made of them.

    `sharpness` multiplies every group's own; `normalise_ranks` False puts raw importances where ranks belong, which is
    known to break a search and serves as its control. After `freeze_depth_after` updates the depth groups stand still
    with masks of 0 and 1, because the cost jumps when a block crosses the threshold. `balance` gives the gradient that
    the cost sends to the ratios the norm of the task's, on a moving average, times itself: so the weight of the cost
    means the same whatever the scale of the task's loss. None leaves that gradient as it is.
    """

    ratio: nn.Parameter
    importance: Tensor
    updates: Tensor
    held: Tensor
    task_norm: Tensor
    group: Tensor
    size: Tensor
    temperature: Tensor
    largest: Tensor
    pinned: Tensor
    depth: Tensor
    gradient: Tensor
    task_gradient: Tensor
    applied: Tensor

    def __init__(
        self,
        groups: tuple[Group, ...],
        *,
        sharpness: float = 1.0,
        normalise_ranks: bool = True,
        freeze_depth_after: int | None = None,
        balance: float | None = None,
    ) -> None:
        super().__init__()
        if not groups:
            raise UserError("a search needs at least one group of elements that may be dropped, and the network declares none")
        self.groups, self.normalise_ranks, self.balance = groups, normalise_ranks, balance
        self.sizes = [group.size for group in groups]
        self.ratio = nn.Parameter(torch.zeros(len(groups)))
        self.register_buffer("importance", torch.zeros(sum(self.sizes)))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("held", torch.zeros(len(groups)))
        self.register_buffer("task_norm", torch.zeros(()))
        self.freeze_depth_after = torch.iinfo(torch.long).max if freeze_depth_after is None else freeze_depth_after
        self._constants(sharpness)

    def _constants(self, sharpness: float) -> None:
        def constant(name: str, values: list[float] | list[int] | list[bool]) -> None:
            self.register_buffer(name, torch.tensor(values), persistent=False)

        constant("group", [index for index, size in enumerate(self.sizes) for _ in range(size)])
        constant("size", [float(size) for size in self.sizes])
        # A single block takes the temperature of two, 8, as the authors' release does; with its own 4 it would start at 0.88.
        constant("temperature", [sharpness * group.sharpness * max(group.size, 2) for group in self.groups])
        # A hair below the rank of the last element that must stay.
        constant("largest", [min(1.0, (group.size - group.minimum + 0.499) / group.size) for group in self.groups])
        constant("pinned", [group.size <= group.minimum for group in self.groups])
        constant("depth", [group.kind == "depth" for group in self.groups])
        self.register_buffer("gradient", torch.zeros_like(self.importance), persistent=False)
        self.register_buffer("task_gradient", torch.zeros_like(self.held), persistent=False)
        self.register_buffer("applied", torch.ones_like(self.importance), persistent=False)

    @torch.compiler.disable  # its hooks would be handed no gradient where the compiler sees that none comes
    def forward(self) -> tuple[Masks, Counts]:
        """Masks to run the network under, and the counts of its cost; call it once per forward pass of the network.

        Group name -> (size,) for a mask and for the count of a depth group, a scalar for the count of a width group.
        Counts are exact integers whose gradient is that of the soft masks. The two results are separate nodes of the
        graph, so that the importance sees the gradient of the task and not that of the cost.
        """
        position, for_task, for_cost = self._position(), self.ratio.clone(), self.ratio.clone()
        applied, counted = self._mask(position, for_task), self._mask(position, for_cost)
        if applied.requires_grad:
            self.applied = applied.detach()
            applied.register_hook(self._collect)
            for_task.register_hook(self._collect_task)
            for_cost.register_hook(self._balanced)
        hard = (counted >= 0.5).to(counted)
        return self._by_group(applied), self._counts(hard + (counted - counted.detach()))

    def mask(self) -> Float[Tensor, " elements"]:
        """(elements,) in [0, 1] (eq. 3); ones before the first update, when nothing is known of the elements."""
        return self._mask(self._position(), self.ratio)

    def _mask(self, position: Float[Tensor, " elements"], ratio: Float[Tensor, " groups"]) -> Float[Tensor, " elements"]:
        soft = torch.sigmoid(self.temperature[self.group] * (position - ratio[self.group]))
        whole = self.pinned[self.group] | (self.updates == 0)
        soft = torch.where(whole, torch.ones_like(soft), soft)
        return torch.where(self._frozen()[self.group], (soft >= 0.5).to(soft), soft)

    @torch.no_grad()
    def update(self) -> None:
        """After each step of the optimiser: clamps the ratios and moves the importances (eq. 4).

        importance <- AVERAGE * importance + (1 - AVERAGE) * (mask * gradient)^2, with the gradient of the task's loss
        summed over all consumers and all backward passes of the step; a gradient that is not finite is left out.
        """
        clamped = torch.minimum(self.ratio.clamp(min=0), self.largest)
        # The optimiser's momentum moves a frozen ratio even with a gradient of zero.
        self.ratio.copy_(torch.where(self._frozen(), self.held, clamped))
        moved = torch.lerp(self.importance, (self.applied * self.gradient).square(), 1 - AVERAGE)
        still = self._frozen()[self.group] | ~torch.isfinite(self.gradient).all()
        self.importance.copy_(torch.where(still, self.importance, moved))
        self.held.copy_(self.ratio)
        self._measure()
        self.gradient.zero_()
        self.task_gradient.zero_()
        self.updates += 1

    def importances(self) -> Masks:
        """Group name -> (size,)"""
        return self._by_group(self.importance)

    def _position(self) -> Float[Tensor, " elements"]:
        if not self.normalise_ranks:
            return self.importance
        return half_integer_ranks(self.importance, self.group, self.size[self.group])

    def _frozen(self) -> Bool[Tensor, " groups"]:
        return self.depth & (self.updates >= self.freeze_depth_after)

    def _collect(self, gradient: Float[Tensor, " elements"]) -> None:
        self.gradient += gradient

    def _collect_task(self, gradient: Float[Tensor, " groups"]) -> None:
        self.task_gradient += gradient

    def _measure(self) -> None:
        """Moves the average norm of the task's gradient by what all backward passes of a step have made of it."""
        gradient = self.task_gradient
        weight = torch.clamp(1 / self.updates.clamp(min=1), min=1 - AVERAGE).to(gradient)
        self.task_norm = torch.where(gradient.isfinite().all(), self.task_norm.lerp(gradient.norm(), weight), self.task_norm)

    def _balanced(self, gradient: Float[Tensor, " groups"]) -> Float[Tensor, " groups"]:
        if self.balance is None:
            return gradient
        return nn.functional.normalize(gradient, dim=0) * (self.balance * self.task_norm)

    def _by_group(self, elements: Float[Tensor, " elements"]) -> Masks:
        return {group.name: part for group, part in zip(self.groups, elements.split(self.sizes), strict=True)}

    def _counts(self, elements: Float[Tensor, " elements"]) -> Counts:
        sums = torch.zeros_like(self.ratio).index_add(0, self.group, elements).unbind()
        parts = elements.split(self.sizes)
        pairs = zip(self.groups, sums, parts, strict=True)
        return {group.name: part if group.kind == "depth" else total for group, total, part in pairs}


def resource_loss(cost: Float[Tensor, ""], target: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """log(cost / target) while the cost is above the target, else 0 with no gradient (eq. 5-6)."""
    return torch.log(torch.where(cost > target, cost, target) / target)


def geometric_target(full: float, budget: float, progress: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """From the full network's cost at progress 0 to the budget at progress 1 and after, by equal factors (eq. 10)."""
    return full * (budget / full) ** progress.clamp(max=1)
