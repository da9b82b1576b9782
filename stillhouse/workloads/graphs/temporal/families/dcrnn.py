"""DCRNN: a GRU whose linear maps are diffusion convolutions (arXiv 1707.01926, eq. 2 and 3, K - 1 = `hops`).

    W * x = x W_0 + sum_{0 < k <= hops} (D_out^-1 A)^k x W_k,1 + (D_in^-1 A^T)^k x W_k,2
    r, u = s(W * [x_t, h_{t-1}] + b),     c = tanh(W * [x_t, r . h_{t-1}] + b),     h = u . h_{t-1} + (1 - u) . c

A walk ends at a node without an edge in its direction. Self loops are edges like others. Inputs are convolved for all
steps and gates at once, and both directions are one sparse matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.graphs.temporal.adjacency import Adjacency, Aggregate, Edges, inverse
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.network import Body, FamilySettings, framed
from stillhouse.workloads.graphs.temporal.recurrent import RecurrentLinear

if TYPE_CHECKING:
    from jaxtyping import Float


class DcrnnSettings(FamilySettings):
    """`hops` is the number of steps of the longest walk."""

    family: Literal["dcrnn"] = "dcrnn"
    hops: int = Field(2, gt=0)


class Dcrnn(Body):
    """State: the last h."""

    def __init__(self, settings: DcrnnSettings, blueprint: Blueprint, channels: int) -> None:
        super().__init__()
        width, terms, self.hops = settings.width, 1 + 2 * settings.hops, settings.hops
        self.axis, self.width = fixed(width), width
        self.sum = Aggregate()
        self.inputs = blueprint.linear(fixed(terms * channels), fixed(3 * width))
        self.gates = RecurrentLinear(terms * width, 2 * width)
        self.candidate = RecurrentLinear(terms * width, width)

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> the state (nodes, width)."""
        walks = both_directions(batch)
        inputs = self.inputs(self._diffused(history.transpose(0, 1).contiguous(), walks))
        gates, candidates = inputs.split((2 * self.width, self.width), -1)
        state = inputs.new_zeros(history.shape[0], self.width)
        for step, (gate, candidate) in enumerate(zip(gates.unbind(), candidates.unbind(), strict=True)):
            if step:
                gate = self.gates(self._diffused(state, walks, step), gate)
                reset = gate[:, : self.width].sigmoid() * state
                candidate = self.candidate(self._diffused(reset, walks, step), candidate)
            state = torch.lerp(candidate.tanh(), state, gate[:, self.width :].sigmoid())
        return {"state": state}

    def _diffused(self, value: Tensor, walks: Adjacency, step: int | None = None) -> Tensor:
        """(..., nodes, channels) -> (..., nodes, (1 + 2 hops) channels)"""
        terms, table = [value], torch.cat((value, value), -2)
        for _ in range(self.hops):
            table = self.sum(table, walks, step)
            terms.extend(table.chunk(2, -2))
        return torch.cat(terms, -1)


def both_directions(batch: Batch) -> Adjacency:
    """The matrix with blocks D_out^-1 A and D_in^-1 A^T for every step, each of whose rows sums to 1, or to 0 without edges."""
    edges = Edges.of(batch)
    outgoing, incoming = (inverse(edges.degree(end)) for end in (edges.source, edges.target))
    weight = torch.cat((edges.weight * outgoing[edges.source], edges.weight * incoming[edges.target]))
    step = edges.nodes * (torch.cat((edges.source, edges.target)) // edges.nodes)
    shift = torch.cat((torch.zeros_like(edges.source), torch.full_like(edges.target, edges.nodes)))
    source = torch.cat((edges.target, edges.source)) + step + shift
    target = torch.cat((edges.source, edges.target)) + step + shift
    return Adjacency(Edges(source, target, weight, 2 * edges.nodes, tuple(2 * bound for bound in edges.bounds)))


FAMILY = Family(DcrnnSettings, framed(Dcrnn))
