"""GCRN, model 2: an LSTM with peepholes whose linear maps are Chebyshev graph convolutions (arXiv 1612.07659, eq. 4 and 5).

    W *G x = sum_{k < K} T_k(L~_t) x W_k,     T_0 = 1, T_1 = L~, T_k = 2 L~ T_{k-1} - T_{k-2}
    i, f = s(W_x *G x_t + W_h *G h_{t-1} + w . c_{t-1} + b)
    c    = f . c_{t-1} + i . tanh(W_x *G x_t + W_h *G h_{t-1} + b)
    o    = s(W_x *G x_t + W_h *G h_{t-1} + w . c + b),     h = o . tanh(c)

L~ = 2 L / 2 - 1 = -D_source^-1/2 A D_target^-1/2 without self loops, anew at every step; with directed edges the weights
that go out of the source and into the target keep its norm at most 1. Inputs are convolved for all steps and gates at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.graphs.temporal.adjacency import Adjacency, Aggregate, Edges, inverse
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.network import Body, FamilySettings, framed
from stillhouse.workloads.graphs.temporal.recurrent import RecurrentLinear

if TYPE_CHECKING:
    from jaxtyping import Float


class GcrnSettings(FamilySettings):
    """`terms` is K, the number of Chebyshev polynomials."""

    family: Literal["gcrn"] = "gcrn"
    terms: int = Field(2, gt=0)


class Gcrn(Body):
    """State: the last h."""

    def __init__(self, settings: GcrnSettings, blueprint: Blueprint, channels: int) -> None:
        super().__init__()
        width, self.terms = settings.width, settings.terms
        self.axis, self.width = fixed(width), width
        self.sum = Aggregate()
        self.inputs = blueprint.linear(fixed(self.terms * channels), fixed(4 * width))
        self.hidden = RecurrentLinear(self.terms * width, 4 * width)
        self.peephole = nn.Parameter(torch.empty(3, width).uniform_(-1, 1) * width**-0.5)

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> the state (nodes, width)."""
        laplacian = scaled_laplacian(batch)
        gates = self.inputs(self._polynomials(history.transpose(0, 1).contiguous(), laplacian))
        state = cell = history.new_zeros(history.shape[0], self.width)
        for step, gate in enumerate(gates.unbind()):
            if step:
                gate = self.hidden(self._polynomials(state, laplacian, step), gate)
            state, cell = self._cell(gate, cell)
        return {"state": state}

    def _polynomials(self, value: Tensor, laplacian: Adjacency, step: int | None = None) -> Tensor:
        """(..., channels) -> (..., terms * channels)"""
        terms = [value]
        if self.terms > 1:
            terms.append(self.sum(value, laplacian, step))
        while len(terms) < self.terms:
            terms.append(2 * self.sum(terms[-1], laplacian, step) - terms[-2])
        return torch.cat(terms, -1)

    def _cell(self, gate: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Gates (nodes, 4 * width) in the order i, f, o, candidate."""
        input_forget, output, candidate = gate.split((2 * self.width, self.width, self.width), -1)
        input_forget = input_forget.unflatten(-1, (2, self.width))
        enter, keep = torch.addcmul(input_forget, cell[:, None], self.peephole[:2]).sigmoid().unbind(1)
        cell = torch.addcmul(keep * cell, enter, candidate.tanh())
        return torch.addcmul(output, cell, self.peephole[2]).sigmoid() * cell.tanh(), cell


def scaled_laplacian(batch: Batch) -> Adjacency:
    """L~ of every step; zero at nodes without edges."""
    edges = Edges.of(batch).without_loops()
    outgoing, incoming = (inverse(edges.degree(end)).sqrt() for end in (edges.source, edges.target))
    return Adjacency(replace(edges, weight=-edges.weight * outgoing[edges.source] * incoming[edges.target]))


FAMILY = Family(GcrnSettings, framed(Gcrn))
