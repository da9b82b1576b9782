"""ISDEA+: two states a query relation k, one for k and one for all others, propagated linearly (arXiv 2302.01313).

    h1_k    = x W1 + (sum over neighbours by k) W2            h1_not_k the same with weights of its own and edges of all k' != k
    h^{t+1} = h^t W1 + (sum over neighbours by any k) W2      in both branches
    X       = MLP(MLP(h^0 ; .. ; h^T of k) ; MLP(h^0 ; .. ; h^T of not k))

from h^0 = 1; an edge j -> i weighs 1 / sqrt(deg_i deg_j). As nothing in it is nonlinear, sums over neighbours commute
with the weights: one only needs the numbers A^m 1 and A^m a_k, where a_k(i) sums the edges of k into i, and then the
states of those nodes that are asked about, instead of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.families import Family
from stillhouse.contracts.output import NODES, Feature, Output
from stillhouse.contracts.ready import MakesReady
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, declare, fixed
from stillhouse.workloads.graphs._shared.sums import Aggregate, Sums
from stillhouse.workloads.graphs.knowledge.distances import distances
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, asked_pairs, joins_target
from stillhouse.workloads.graphs.knowledge.rows import Rows, rows_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class IsdeaPlusSettings(Settings):
    """The published network has width 32, 3 layers and a predictor of width 128."""

    family: Literal["isdea_plus"] = "isdea_plus"
    width: int = Field(32, gt=0)
    layers: int = Field(3, gt=0)
    predictor: int = Field(128, gt=0)
    hops: int | None = Field(None, gt=0)
    """Distances above it count as not reachable; None looks for paths of any length, as published."""


@dataclass(frozen=True, eq=False)
class Walked:
    """A question as numbers of walks, which are all that the network computes with."""

    anywhere: Float[Tensor, "asked _"]
    """A^m 1 for m = 0..T, of all that are asked about."""
    along: Float[Tensor, "asked walks"]
    """A^m a_k for m < T."""
    place: Int[Tensor, "queries candidates 2"]
    """Of each candidate's head and tail, among them."""
    apart: Float[Tensor, "2 queries candidates"]
    """d(i, j) / N and d(j, i) / N along directed edges; 1 means not reachable."""
    any_length: ClassVar[Mapping[str, tuple[int, ...]]] = {"anywhere": (0,), "along": (0,), "place": (0, 1), "apart": (1, 2)}


class Walk(Aggregate):
    """Sums of numbers whose columns are relations, which belong to no channel of the network."""

    def rows(self, table: Tensor, sums: Sums, weights: Tensor | None = None) -> int:
        """Multiply-adds of all columns."""
        return sums.entries * table.shape[1]


class Chain(nn.Module):
    """Linear layers with tanh or ReLU between them."""

    def __init__(self, blueprint: Blueprint, name: str, axes: tuple[Axis, ...], activation: nn.Module) -> None:
        super().__init__()
        self.gates = nn.ModuleList(blueprint.gate(axis) for axis in axes[:-1])
        self.layers = nn.ModuleList(blueprint.linear(inside, outside) for inside, outside in pairwise(axes))
        self.activation = activation

    def forward(self, value: Tensor) -> Tensor:
        """(..., first axis) -> (..., last axis)"""
        for index, (gate, layer) in enumerate(zip(self.gates, self.layers, strict=True)):
            value = layer(gate(self.activation(value) if index else value))
        return value


class Branch(nn.Module):
    """The linear propagation of one of the two states, and the perceptron over all its layers."""

    def __init__(self, blueprint: Blueprint, name: str, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        states = [fixed(width), *(blueprint.width(f"{name}.layer{index}", width) for index in range(layers))]
        self.gates = nn.ModuleList(blueprint.gate(axis) for axis in states[:-1])
        pairs = list(pairwise(states))
        self.self_weights = nn.ModuleList(blueprint.linear(*pair, bias=False) for pair in pairs)
        self.neighbour_weights = nn.ModuleList(blueprint.linear(*pair, bias=False) for pair in pairs)
        hidden = [blueprint.width(f"{name}.hidden{index}", width) for index in range(2)]
        self.outside = blueprint.width(f"{name}.outside", width)
        together = sum(states[1:], states[0])
        self.perceptron = Chain(blueprint, f"{name}.perceptron", (together, *hidden, self.outside), nn.Tanh())

    def forward(self, own: Float[Tensor, "asked walks"], around: Float[Tensor, "asked walks"]) -> Float[Tensor, "asked outside"]:
        """(asked, outside) from (asked, T) twice: A^m of h^0 and of its sum over the branch's first neighbours, m < T."""
        ones = own.new_ones(self.width)
        state, beside = own[..., None] * ones, around[..., None] * ones
        states = [torch.ones_like(state[:, 0])]
        for gate, self_weight, neighbour_weight in zip(self.gates, self.self_weights, self.neighbour_weights, strict=True):
            state = self_weight(gate(state)) + neighbour_weight(gate(beside))
            states.append(state[:, 0])
            state, beside = state[:, :-1], state[:, 1:]
        return self.perceptron(torch.cat(states, -1))


class IsdeaPlus(nn.Module, MakesReady):
    """Scores triples of a batch; no parameter depends on the number of nodes or relations."""

    def __init__(self, settings: IsdeaPlusSettings, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.settings, self.blueprint = settings, Blueprint(architecture)
        blueprint, width, tanh = self.blueprint, settings.width, nn.Tanh()
        self.own = Branch(blueprint, "own", width, settings.layers)
        self.other = Branch(blueprint, "other", width, settings.layers)
        state, distance = blueprint.width("state", width), blueprint.width("distance", width)
        both = self.own.outside + self.other.outside
        inner = [blueprint.width(f"combine.hidden{index}", width) for index in range(2)]
        self.combine = Chain(blueprint, "combine", (both, *inner, state), tanh)
        self.distance = Chain(blueprint, "distance", (fixed(1), blueprint.width("distance.hidden", width), distance), tanh)
        hidden = [blueprint.width(f"predictor.hidden{index}", settings.predictor) for index in range(2)]
        pair = state + state + state + distance + distance
        self.predictor = Chain(blueprint, "predictor", (pair, *hidden, fixed(1)), nn.ReLU())
        self.add = declare(Walk(), {}, (fixed(1),))

    def ready(self, batch: Batch) -> Walked:
        """What is counted, before any weight is used."""
        asked, place = asked_pairs(batch)
        return Walked(*self._walks(batch, asked), place.view(*batch.triples.shape[:-1], 2), self._apart(batch))

    def forward(self, batch: Batch | Walked) -> Output:
        """Scores (queries, candidates); features of the (node, relation) pairs that the batch asks about."""
        given = batch if isinstance(batch, Walked) else self.ready(batch)
        before, along = given.anywhere[:, :-1], given.along
        own, other = self.own(before, along), self.other(before, given.anywhere[:, 1:] - along)
        state = self.combine(torch.cat((own, other), -1))
        head, tail = state[given.place.flatten(0, 1)].unbind(1)
        distance = self.distance(given.apart.flatten(1)[..., None])
        logits = self.predictor(torch.cat((head, tail, head * tail, *distance), -1))
        features = {"own": Feature(own, NODES), "other": Feature(other, NODES), "state": Feature(state, NODES)}
        return Output(logits.view(given.place.shape[:-1]), "candidates", features)

    def _apart(self, batch: Batch) -> Float[Tensor, "2 queries candidates"]:
        nodes, pairs = batch.graph.nodes, batch.triples[..., ::2].reshape(-1, 2)
        hops = min(self.settings.hops or nodes, nodes - 1)
        both = [distances(batch.graph, way, max(hops, 1), directed=True) for way in (pairs, pairs.flip(1))]
        shares = torch.stack([torch.where(found > hops, nodes, found) for found in both]).to(next(self.parameters())) / nodes
        return shares.view(2, *batch.triples.shape[:-1])

    def _walks(self, batch: Batch, asked: Int[Tensor, " asked"]) -> tuple[Float[Tensor, "asked _"], Float[Tensor, "asked _"]]:
        """A^m 1 for m = 0..T, (asked, T + 1), and A^m a_k for m < T, (asked, T)."""
        graph, layers = batch.graph, self.settings.layers
        rows, relations = rows_of(graph, 0), 2 * graph.relations
        visible = (~joins_target(graph, batch.triples)).to(next(self.parameters()))
        pairs, edges = _weights(rows, visible)
        kinds, column = torch.unique(asked % relations, return_inverse=True)
        values = torch.cat((pairs.new_ones(graph.nodes, 1), _sums_by_relation(graph, edges, kinds)), 1)
        powers = [values]
        for _ in range(layers):
            powers.append(self.add(powers[-1], rows.neighbours, pairs))
        stacked = torch.stack(powers)[:, asked // relations]
        along = stacked[:-1].gather(2, (column + 1).expand(layers, -1)[..., None]).squeeze(-1)
        return stacked[..., 0].T, along.T


def _weights(rows: Rows, visible: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of joined pairs, parallel edges added, and of edges: 1 / sqrt(deg_i deg_j), deg counting neighbours once."""
    parallel = rows.pair_weights(visible)
    joined = rows.joined
    degree = parallel.new_zeros(joined.nodes).index_add(0, joined.target, (parallel > 0).to(parallel))
    single = (degree[joined.target] * degree[joined.source]).clamp(min=1).rsqrt()
    return parallel * single, torch.cat((visible, visible)) * single[rows.pair]


def _sums_by_relation(graph: Graph, weights: Tensor, kinds: Tensor) -> Tensor:
    """(nodes, kinds): for each of some sorted relations the weights of its edges into each node."""
    _, relation, target = graph.augmented()
    column = torch.searchsorted(kinds, relation).clamp(max=len(kinds) - 1)
    among = kinds[column] == relation
    cells = weights.new_zeros(graph.nodes * len(kinds))
    return cells.index_add(0, (target * len(kinds) + column)[among], weights[among]).view(graph.nodes, len(kinds))


FAMILY = Family(IsdeaPlusSettings, lambda settings, sizes, architecture: IsdeaPlus(settings, architecture))
