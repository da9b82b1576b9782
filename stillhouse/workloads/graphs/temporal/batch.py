"""What a model of temporal graphs is asked: windows of time, laid side by side as one graph."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

ABSENT = -1.0
"""Stands in an edge's history where the edge is absent; weights are never negative."""
UNIT = torch.tensor([[0.0], [1.0]])


@dataclass(frozen=True, eq=False)
class Batch:
    """Some windows as one graph, without edges between windows. An event is one edge at one step."""

    history: Tensor
    """(nodes, steps, channels), the oldest step first."""
    edges: Tensor
    """(2, pairs), int64: source and target of every pair that is an edge at one step at least, each pair once."""
    weight: Tensor
    """(events,), in the order of their steps; with static edges (pairs,)."""
    pair: Tensor
    """(events,), int64: which pair; empty with static edges."""
    starts: tuple[int, ...]
    """The events of step t are those from starts[t] to starts[t + 1]; empty with static edges."""
    window: Tensor
    """(nodes,), int64: which window a node belongs to."""
    windows: int
    target: Tensor
    """(nodes, outputs) of values, or (windows,) of classes."""
    asked: Tensor
    """(nodes,), bool: whether a node's answer counts."""
    last: Tensor
    """(nodes, outputs): what is asked for, at the last step of the window; in units of `target`. Empty for classes."""
    absolute: bool = False
    """Whether training is by the absolute error and not by the square."""
    unit: Tensor = UNIT
    """(2, outputs): a target is (its raw value - unit[0]) / unit[1], the raw value being its log(1 + x) where `log` says so."""
    log: bool = False
    known: Tensor | None = None
    """(nodes, outputs), bool: whether a target is a value that was observed, where not all are."""

    @property
    def steps(self) -> int:
        """The number of steps of a window."""
        return self.history.shape[1]

    @property
    def static(self) -> bool:
        """Whether every edge is there at every step, with the same weight."""
        return not self.starts

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """(2, edges) and (edges,): the edges of one step and their weights."""
        if self.static:
            return self.edges, self.weight
        events = slice(self.starts[step], self.starts[step + 1])
        return self.edges[:, self.pair[events]], self.weight[events]

    def edge_history(self) -> Tensor:
        """(pairs, steps): the weight of every pair at every step, `ABSENT` where it is no edge."""
        if self.static:
            return self.weight[:, None].expand(-1, self.steps)
        counts = torch.tensor(self.starts).diff().to(self.pair.device)
        step = torch.arange(self.steps, device=self.pair.device).repeat_interleave(counts, output_size=self.pair.shape[0])
        history = self.weight.new_full((self.edges.shape[1], self.steps), ABSENT)
        history[self.pair, step] = self.weight
        return history

    def counts(self) -> Tensor:
        """(nodes, outputs), bool: the values that are trained on and scored, those asked about and known."""
        asked = self.asked[:, None].expand_as(self.target)
        return asked if self.known is None else asked & self.known

    def raw(self, value: Tensor) -> Tensor:
        """(nodes, outputs) in units of the target -> in the units of the data."""
        value = value * self.unit[1] + self.unit[0]
        return value.expm1() if self.log else value

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        moved: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            moved[item.name] = value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        return Batch(**moved)


def thinned(share: float, batch: Batch, rng: torch.Generator) -> Batch:
    """A batch without that share of its edges: of pairs that are an edge at all steps, else of the events, each drawn by itself."""
    stays = torch.rand(len(batch.weight), generator=rng) >= share
    if batch.static:
        return replace(batch, edges=batch.edges[:, stays], weight=batch.weight[stays])
    before = [0, *stays.cumsum(0).tolist()]
    used, pair = batch.pair[stays].unique(return_inverse=True)
    starts = tuple(before[start] for start in batch.starts)
    return replace(batch, edges=batch.edges[:, used], weight=batch.weight[stays], pair=pair, starts=starts)
