"""ISDEA: exactly equivariant to permutations of nodes and of relations (arXiv 2302.01313, appendix A.1 of its v6).

    own_k   = GIN1(H_k, A_k)                                              relation k alone
    other_k = GIN2(mean_{k' != k} H_k', union_{k' != k} A_k')             all others, parallel edges counted
    H_k    <- BN(own_k + other_k), ReLU between layers

from H = 1. With S = sum_k H_k the mean of the others is (S - H_k) / (2R - 1), and their edges are A_all - A_k, so no sum
over pairs of relations is left; `rows` leaves out the states that equal another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.contracts.families import Family
from stillhouse.contracts.output import NODES, Feature, Output
from stillhouse.contracts.ready import MakesReady
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, declare, fixed
from stillhouse.workloads.graphs._shared.sums import Aggregate, Sums
from stillhouse.workloads.graphs.knowledge.distances import distances
from stillhouse.workloads.graphs.knowledge.graph import Batch, asked_pairs, joins_target
from stillhouse.workloads.graphs.knowledge.listed import Added, Between, Listed
from stillhouse.workloads.graphs.knowledge.norm import shared_batch_norm
from stillhouse.workloads.graphs.knowledge.rows import Rows, Step, rows_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class IsdeaSettings(Settings):
    """The published network has width 32, 3 layers and 3 hops (2 hops for the family diagrams)."""

    family: Literal["isdea"] = "isdea"
    width: int = Field(32, gt=0)
    layers: int = Field(3, gt=0)
    hops: int = Field(3, gt=0)
    """Distances above it are one: not reachable."""
    residual: bool = False
    """Adds each layer's input to its result, all layers of one width, so that layers but the first can be removed."""


@dataclass(frozen=True)
class Visible:
    """What a batch may see of its graph: the weight of each triple and the number of edges that join each pair."""

    steps: tuple[Step | Between, ...]
    neighbours: Sums | Added
    others: int | Tensor
    triples: Tensor
    pairs: Tensor
    one_and_pairs: Tensor

    @staticmethod
    def of(rows: Rows, triples: Tensor) -> Visible:
        """By the weights of triples."""
        pairs = rows.pair_weights(triples)
        one_and_pairs = torch.cat((pairs.new_ones(1), pairs))
        return Visible(rows.steps, rows.neighbours, rows.steps[0].before.others, triples, pairs, one_and_pairs)

    @staticmethod
    def listed(lists: Listed) -> Visible:
        """The same of a question in lists."""
        one_and_pairs = torch.cat((lists.pairs.new_ones(1), lists.pairs))
        return Visible(tuple(lists.steps), lists.neighbours, lists.others, lists.triples, lists.pairs, one_and_pairs)


def weights(batch: Batch) -> Tensor:
    """(triples,), bool: all that may be seen of a graph, which are those that join no target pair."""
    return ~joins_target(batch.graph, batch.triples)


class Adding(Aggregate):
    """An `Aggregate` of lists, too."""

    def forward(self, table: Tensor, sums: Sums | Added, weights: Tensor | None = None) -> Tensor:
        """(columns, width) -> (rows, width)"""
        return sums(table, weights)


class Perceptron(nn.Module):
    """The two-layer perceptron of a GIN: act(x W1 + b1) W2 + b2, with the factor 1 + eps of the node's own value.

    `first` has no bias, because the sums over neighbours are taken of its result.
    """

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, width: int) -> None:
        super().__init__()
        self.hidden = blueprint.width(name, width)
        self.first = blueprint.linear(inside, self.hidden, bias=False)
        self.bias = nn.Parameter(torch.empty(self.hidden.count).uniform_(-1, 1) / math.sqrt(inside.count))
        self.eps = nn.Parameter(torch.zeros(()))
        self.gate = blueprint.gate(self.hidden)
        self.second = blueprint.linear(self.hidden, outside)
        declare(self, {"bias": (self.hidden,)})

    def finish(self, value: Tensor) -> Tensor:
        """From the sums, which hold the bias, to the result."""
        return self.second(self.gate(value.relu_()))


class Convolution(nn.Module):
    """One layer, from the rows of one level to those of the next."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, width: int) -> None:
        super().__init__()
        self.own = Perceptron(blueprint, f"{name}.own", inside, outside, width)
        self.other = Perceptron(blueprint, f"{name}.other", inside, outside, width)
        self.sum_own = declare(Adding(), {}, (self.own.hidden,))
        self.sum_other = declare(Adding(), {}, (self.other.hidden,))
        self.norm = shared_batch_norm(outside)

    def forward(self, state: Tensor, step: Step | Between, visible: Visible) -> Tensor:
        """(rows before, inside) -> (rows after, outside)"""
        return self.norm(self._own(state, step, visible) + self._other(state, step, visible), step.after.share)

    def _own(self, state: Tensor, step: Step | Between, visible: Visible) -> Tensor:
        value = self.own.first(state)
        lifted = (1 + self.own.eps) * value + self.own.bias
        direct = step.lift_direct(lifted) + self.sum_own(value, step.own, visible.triples)
        return step.place(self.own.finish(torch.cat((lifted, direct))))

    def _other(self, state: Tensor, step: Step | Between, visible: Visible) -> Tensor:
        """(1 + eps) (S - H_k) + A_all S - A_all H_k - A_k S + A_k H_k, over 2R - 1.

        H_k is split into the rest row of its node and the excess over it, which only touched pairs have.
        """
        before, eps, add = step.before, self.other.eps, self.sum_other
        value = self.other.first(state) / visible.others
        rest = before.rest(value)
        total = add(value, before.gather, before.share)
        of_node = (1 + eps) * (total - rest) + add(total - rest, visible.neighbours, visible.pairs) + self.other.bias
        excess = before.excess(value, rest)
        of_edge = add(value, step.own, visible.triples) - add(total, step.own_nodes, visible.triples)
        return self.other.finish(add(torch.cat((of_node, (1 + eps) * excess, excess, of_edge)), step.other, visible.one_and_pairs))


class Mix(nn.Module):
    """A layer without edges: Lin1(H_k) + Lin2(mean of the others)."""

    def __init__(self, blueprint: Blueprint, inside: Axis, outside: Axis) -> None:
        super().__init__()
        self.own = blueprint.linear(inside, outside)
        self.other = blueprint.linear(inside, outside, bias=False)
        declare(self, {}, (outside, inside))

    def forward(self, state: Tensor, total: Tensor, others: int | Tensor) -> tuple[Tensor, Tensor]:
        """The part of each row (rows, outside) and the part of each total (totals, outside), to be added to its rows."""
        other = self.other.weight / others
        return functional.linear(state, self.own.weight - other, self.own.bias), functional.linear(total, other)

    def rows(self, state: Tensor, total: Tensor, others: int | Tensor) -> int:
        """How often the two axes are multiplied."""
        return len(state) + len(total)


class PairScore(nn.Module):
    """Logit of a triple: Linear(ReLU(Linear([H_k(i) ; H_k(j) ; e(d(i, j)) ; e(d(j, i))]))), e a learned table."""

    def __init__(self, blueprint: Blueprint, state: Axis, width: int, hops: int) -> None:
        super().__init__()
        distance, hidden = blueprint.width("distance", width), blueprint.width("score", width)
        self.embedding = blueprint.embedding(hops + 2, distance)
        nn.init.xavier_normal_(self.embedding.weight)
        self.gate_in, self.gate_out = blueprint.gate(state + state + distance + distance), blueprint.gate(hidden)
        self.first = blueprint.linear(state + state + distance + distance, hidden)
        self.second = blueprint.linear(hidden, fixed(1))

    def forward(
        self, head: Float[Tensor, "triples state"], tail: Float[Tensor, "triples state"], apart: Int[Tensor, " triples"]
    ) -> tuple[Float[Tensor, " triples"], Float[Tensor, "triples hidden"]]:
        """Two (triples, state) and their distances to (triples,) logits and (triples, hidden) activations."""
        # With inverse edges a distance is the same in both directions.
        distance = self.embedding(apart)
        hidden = torch.relu(self.first(self.gate_in(torch.cat((head, tail, distance, distance), -1))))
        return self.second(self.gate_out(hidden)).squeeze(-1), hidden


class Isdea(nn.Module, MakesReady):
    """Scores triples of a batch; no parameter depends on the number of nodes or relations."""

    def __init__(self, settings: IsdeaSettings, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.settings, self.blueprint = settings, Blueprint(architecture)
        self.layers, self.gates, self.depth_gates = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        axis = self._build_layers(fixed(settings.width))
        mixed, final = self.blueprint.width("mix0", settings.width), self.blueprint.width("mix1", settings.width)
        self.mix_gates = nn.ModuleList((self.blueprint.gate(axis), self.blueprint.gate(mixed)))
        self.mixes = nn.ModuleList((Mix(self.blueprint, axis, mixed), Mix(self.blueprint, mixed, final)))
        self.totals = nn.ModuleList(declare(Adding(), {}, (inside,)) for inside in (axis, mixed))
        self.norm = shared_batch_norm(mixed)
        self.score = PairScore(self.blueprint, final, settings.width, settings.hops)

    def _build_layers(self, axis: Axis) -> Axis:
        settings, blueprint = self.settings, self.blueprint
        shared = blueprint.width("state", settings.width) if settings.residual else None
        removable = blueprint.depth("layers", settings.layers - 1) if settings.residual else range(settings.layers - 1)
        for index in (0, *(block + 1 for block in removable)):
            outside = shared or blueprint.width(f"layer{index}", settings.width)
            layer = Convolution(blueprint, f"layer{index}", axis, outside, settings.width)
            self.gates[str(index)] = blueprint.gate(axis)
            if settings.residual and index:
                self.depth_gates[str(index)] = blueprint.depth_gate("layers", index - 1)
                blueprint.block("layers", index - 1, layer)
            self.layers[str(index)], axis = layer, outside
        return axis

    def ready(self, batch: Batch) -> Listed:
        """Which rows are summed, what is asked of them, and how far apart the nodes of each candidate are."""
        (asked, place), rows = asked_pairs(batch), rows_of(batch.graph, self.settings.layers)
        shape = batch.triples.shape[:-1]
        return Listed.of(rows, weights(batch), asked, place.view(*shape, 2), self.apart(batch).view(shape))

    def forward(self, batch: Batch | Listed) -> Output:
        """Scores (queries, candidates); features of the (node, relation) pairs that the batch asks about, and of its triples."""
        if isinstance(batch, Listed):
            return self._of_lists(batch)
        asked, place = asked_pairs(batch)
        like, features, rows = self.score.second.weight, {}, asked
        every = rows_of(batch.graph, self.settings.layers)
        visible = Visible.of(every, weights(batch).to(like))
        state = like.new_ones(batch.graph.nodes, self.settings.width)
        for index, step in enumerate(every.steps):
            state, rows = self._layer(str(index), state, step, visible), step.after.row_of_code(asked)
            features[f"layer{index}"] = Feature(state[rows], NODES)
        final = self._mix(state, visible, rows)
        head, tail = final[place].unbind(1)
        logits, hidden = self.score(head, tail, self.apart(batch))
        features |= {"state": Feature(final, NODES), "pair": Feature(hidden, NODES)}
        return Output(logits.view(batch.triples.shape[:-1]), "candidates", features)

    def _of_lists(self, lists: Listed) -> Output:
        visible = Visible.listed(lists)
        state = self.score.second.weight.new_ones(lists.level["0"].node.shape[0], self.settings.width)
        for index, step in enumerate(visible.steps):
            state = self._layer(str(index), state, step, visible)
        head, tail = self._mix(state, visible, lists.asked)[lists.place.flatten(0, 1)].unbind(1)
        return Output(self.score(head, tail, lists.distance.flatten())[0].view_as(lists.distance), "candidates")

    def apart(self, batch: Batch) -> Int[Tensor, " candidates"]:
        """The distance between the nodes of each candidate, of all queries."""
        return distances(batch.graph, batch.triples[..., ::2].reshape(-1, 2), self.settings.hops, directed=False)

    def _layer(self, name: str, state: Tensor, step: Step | Between, visible: Visible) -> Tensor:
        if name not in self.layers:
            return step.lift(state)
        changed = self.layers[name](self.gates[name](torch.relu(state)), step, visible)
        return step.lift(state) + self.depth_gates[name](changed) if name in self.depth_gates else changed

    def _mix(self, state: Tensor, visible: Visible, asked: Tensor) -> Tensor:
        """(rows, channels) -> (asked, channels): two layers without edges, the second one only in the rows that are asked about."""
        level = visible.steps[-1].after
        state, share = self.mix_gates[0](state), level.share
        own, other = self.mixes[0](state, self.totals[0](state, level.gather, share), visible.others)
        state = self.mix_gates[1](torch.relu(self.norm(own + level.spread(other), share)))
        total = self.totals[1](state, level.gather, share)
        own, other = self.mixes[1](state[asked], total[level.node[asked]], visible.others)
        return own + other


FAMILY = Family(IsdeaSettings, lambda settings, sizes, architecture: Isdea(settings, architecture))
