"""Which windows of a panel train, validate and test, and on which steps and nodes the scales may be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Panel

Protocol = Literal["chronological", "interleaved", "transductive"]
TRAIN, VALID, TEST = range(3)


@dataclass(frozen=True, eq=False)
class Split:
    """Windows by graph and first step, (windows,) each, with a role: `TRAIN`, `VALID` or `TEST`.

    Where nodes are split and not windows, `node_role` is (nodes,) and every window has every role.
    """

    graph: Tensor
    start: Tensor
    role: Tensor
    node_role: Tensor | None = None

    def of(self, role: int) -> Tensor:
        """The numbers of the windows of a role."""
        return torch.arange(len(self.start)) if self.node_role is not None else (self.role == role).nonzero().flatten()


def forecasts(panel: Panel, window: int, horizon: int, protocol: Protocol) -> Split:
    """All windows of one graph whose target, `horizon` steps after the last step, exists.

    `chronological` cuts them 7:1:2 in time. As published: `interleaved` deals them by their number modulo 10 (0 to 6 train,
    7 validates), so that test windows overlap those of training; `transductive` asks about all windows, and deals the nodes
    so, in the order of their degree.
    """
    number = panel.features.shape[1] - window - horizon + 1
    if number < 10:
        got = f"{panel.features.shape[1]} steps make {max(number, 0)}"
        raise UserError(f"wanted at least 10 windows of {window} steps with a target {horizon} steps later - {got}")
    start = torch.arange(number)
    if protocol == "transductive":
        return Split(torch.zeros_like(start), start, torch.zeros_like(start), _dealt_by_degree(panel))
    return Split(torch.zeros_like(start), start, _dealt(start) if protocol == "interleaved" else cut(number))


def cut(number: int) -> Tensor:
    """(number,): the first seven tenths train, the next tenth validates, the rest tests; broken tenths go to the later role."""
    place = torch.arange(number)
    return (place >= 7 * number // 10).long() + (place >= 8 * number // 10).long()


def _dealt(number: Tensor) -> Tensor:
    place = number % 10
    return (place >= 7).long() + (place >= 8).long()


def _dealt_by_degree(panel: Panel) -> Tensor:
    if len(panel.graph) < 10:
        raise UserError(f"wanted at least 10 nodes, to be split 7:1:2 - got {len(panel.graph)}")
    degree = torch.bincount(torch.cat((panel.source, panel.target)), minlength=len(panel.graph))
    role = torch.empty(len(degree), dtype=torch.int64)
    role[torch.argsort(degree, descending=True, stable=True)] = _dealt(torch.arange(len(degree)))
    return role


def seen(split: Split, window: int, horizon: int, steps: int) -> Tensor:
    """(steps,), bool: the steps that a training window sees or is asked about."""
    starts = split.start[split.of(TRAIN)]
    found = torch.zeros(steps, dtype=torch.bool)
    found[starts[:, None] + torch.arange(window)] = True
    found[starts + window - 1 + horizon] = True
    return found
