"""Graph convolutions on the union graph, whose edges carry the states of their histories."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Axis, Blueprint, declare


class Aggregate(nn.Module):
    """out[target] += weight * value[source]; its multiply-adds are counted once its channel axis is declared as cost."""

    def forward(self, value: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        """(nodes, channels), (2, pairs), (pairs,) -> (nodes, channels)"""
        source, target = edges
        messages = value[source] * weight[:, None]  # in mixed precision perhaps of another type than the values
        return messages.new_zeros(value.shape).index_add(0, target, messages)

    def rows(self, value: Tensor, edges: Tensor, weight: Tensor) -> int:
        """Multiply-adds for one channel."""
        return edges.shape[1]


def normalised(edges: Tensor, weight: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """(2, pairs + nodes), (pairs + nodes,): D^-1/2 (A + I) D^-1/2 with weighted in-degrees (GCN, arXiv 1609.02907, eq. 2).

    Loops that are in the data are replaced by those of weight 1, so no degree is 0.
    """
    source, target = edges
    weight = torch.where(source == target, torch.zeros_like(weight), weight)
    loops = torch.arange(nodes, device=edges.device)
    scale = (1 + weight.new_zeros(nodes).index_add(0, target, weight)).rsqrt()
    inner = scale[source] * weight * scale[target]
    return torch.cat((edges, loops.expand(2, -1)), 1), torch.cat((inner, scale.square()))


class Weighted(nn.Module):
    """One linear map, then the sum over the edges that come in, each times its weight (`gcn` and `sum` differ in the weights)."""

    def __init__(self, blueprint: Blueprint, inside: Axis, outside: Axis) -> None:
        super().__init__()
        self.linear = blueprint.linear(inside, outside, bias=False)
        self.bias = nn.Parameter(torch.zeros(outside.count))
        declare(self, {"bias": (outside,)})
        self.sum = declare(Aggregate(), {}, (outside,))

    def forward(self, value: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        """(nodes, inside), (2, pairs), (pairs,) -> (nodes, outside)"""
        return self.sum(self.linear(value), edges, weight) + self.bias


class Messages(nn.Module):
    """out[target] += relu(value[source] + message)"""

    def forward(self, value: Tensor, edges: Tensor, message: Tensor) -> Tensor:
        """(nodes, channels), (2, pairs), (pairs, channels) -> (nodes, channels)"""
        return torch.zeros_like(value).index_add(0, edges[1], torch.relu(value[edges[0]] + message))

    def rows(self, value: Tensor, edges: Tensor, message: Tensor) -> int:
        """Additions for one channel."""
        return edges.shape[1]


class Gine(nn.Module):
    """MLP((1 + eps) x_i + sum_j relu(x_j + W e_ji)) over the states e of edges (GINE, arXiv 1905.12265, eq. A.1)."""

    def __init__(self, blueprint: Blueprint, name: str, axes: tuple[Axis, Axis, Axis], width: int) -> None:
        super().__init__()
        inside, outside, state = axes
        hidden = blueprint.width(f"{name}.hidden", width)
        self.eps = nn.Parameter(torch.zeros(()))
        self.lift = blueprint.linear(state, inside)
        self.first, self.second = blueprint.linear(inside, hidden), blueprint.linear(hidden, outside)
        self.gate_in, self.gate = blueprint.gate(inside), blueprint.gate(hidden)
        self.sum = declare(Messages(), {}, (inside,))

    def forward(self, value: Tensor, edges: Tensor, state: Tensor) -> Tensor:
        """(nodes, inside), (2, pairs), (pairs, state) -> (nodes, outside); masks are in `value` and `state` already."""
        total = (1 + self.eps) * value + self.sum(value, edges, self.lift(state))
        return self.second(self.gate(torch.relu(self.first(self.gate_in(total)))))


class Scaled(nn.Module):
    """A convolution times one weight, which is learned from 1 on, so that edges which say nothing can be left aside."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution, self.weight = convolution, nn.Parameter(torch.ones(()))

    def forward(self, value: Tensor, edges: Tensor, state: Tensor) -> Tensor:
        """(nodes, inside) -> (nodes, outside), as the convolution takes them."""
        changed: Tensor = self.convolution(value, edges, state)
        return self.weight * changed
