"""ISDEA-marked: message passing from the query's marked head, exactly equivariant to permutations of nodes and relations.

As in NBFNet (arXiv 2106.06935) one propagation from head i under relation k scores all tails of (i, k, ?), but a message
carries no identity of its relation r. It carries a vector v_r|k made of counts, which say how r stands to k: same,
inverse, parallel, meeting head to head, head to tail, ... (after ULTRA, arXiv 2310.04562). So nothing is random, no
parameter depends on the number of nodes or relations, and a type and its inverse may even be swapped:

    h_i = W v_k|k, all else 0                                            mark
    m_u = sum over edges (w, r, u) of (V h_w) * (U v_r|k)                messages
    h_u <- h_u + ReLU(LN(W [h_u ; m_u])) where u is within l hops of i   layer l
    s(i, k, j) = MLP [h_j ; hops ; v_k|k ; x_i ; x_j ; x_i * x_j ; h_i^0 * h_j]

with x_u = W [ReLU(LN(sum over r of log(1 + edges of r leaving u) (U v_r|k))) ; 1 / (1 + nodes at 1, 2, ... hops of u)],
which tells candidates apart that no short walk reaches. Only the true triple of a query and its inverse copy are hidden,
from all of this; the statistics of relations alone are those of the whole observed graph.

A hidden triple may leave its nodes without edges, which no other candidate ever is: train on triples whose nodes have
other edges, as the nodes of honest queries do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.families import Family
from stillhouse.contracts.output import NODES, Feature, Output
from stillhouse.contracts.ready import MakesReady
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, declare, fixed
from stillhouse.workloads.graphs.knowledge.graph import Batch
from stillhouse.workloads.graphs.knowledge.marked_index import INTERACTIONS, STATISTICS, index_of
from stillhouse.workloads.graphs.knowledge.marked_question import Around, Marked, Reached

if TYPE_CHECKING:
    from jaxtyping import Float


class IsdeaMarkedSettings(Settings):
    """Six layers reach as far as NBFNet's; graphs with short paths need three or four."""

    family: Literal["isdea_marked"] = "isdea_marked"
    width: int = Field(32, gt=0)
    layers: int = Field(6, gt=0, le=60)
    rounds: int = Field(1, ge=0)
    """Rounds of message passing over the graph of relations."""
    beyond: int = Field(6, ge=0, le=60)
    """Hops above the number of layers that the readout still tells apart."""


class Interact(nn.Module):
    """Means over the relations that a relation meets, one for each way to meet."""

    def forward(self, vectors: Tensor, interactions: Tensor) -> Tensor:
        """(queries, types, width) -> (queries, types, 4 * width)"""
        return torch.einsum("irs,ksd->krid", interactions, vectors).flatten(2)

    def rows(self, vectors: Tensor, interactions: Tensor) -> int:
        """Multiply-adds for one channel."""
        return len(vectors) * interactions.numel()


class WeightedSum(nn.Module):
    """The sum of rows of a table, each times its own weights."""

    def forward(self, table: Tensor, weights: Tensor, row: Tensor, size: int) -> Tensor:
        """(entries, width) twice -> (size, width)"""
        return table.new_zeros(size, table.shape[1]).index_add(0, row, table * weights)

    def rows(self, table: Tensor, weights: Tensor, row: Tensor, size: int) -> int:
        """Multiply-adds for one channel."""
        return len(row)


class Round(nn.Module):
    """One residual round over the graph of relations."""

    def __init__(self, blueprint: Blueprint, index: int, relation: Axis) -> None:
        super().__init__()
        together = relation
        for _ in range(INTERACTIONS):
            together = together + relation
        self.interact = declare(Interact(), {}, (relation,))
        self.gate = blueprint.gate(together)
        self.update = blueprint.linear(together, relation)
        self.norm = blueprint.layer_norm(relation)
        self.whole = blueprint.depth_gate("rounds", index)

    def forward(self, vectors: Tensor, interactions: Tensor) -> Tensor:
        """(queries, types, relation) -> the same"""
        together = torch.cat((vectors, self.interact(vectors, interactions)), -1)
        return vectors + self.whole(self.norm(self.update(self.gate(together))).relu())


class RelationEncoder(nn.Module):
    """The vectors v_r|k of all relations r for some query relations k."""

    def __init__(self, blueprint: Blueprint, relation: Axis, width: int, rounds: int) -> None:
        super().__init__()
        hidden = blueprint.width("relation.hidden", width)
        self.first, self.second = blueprint.linear(fixed(STATISTICS), hidden), blueprint.linear(hidden, relation)
        self.inner, self.outer = blueprint.gate(hidden), blueprint.gate(relation)
        kept = blueprint.depth("rounds", rounds) if rounds else ()
        self.rounds = nn.ModuleDict({str(at): blueprint.block("rounds", at, Round(blueprint, at, relation)) for at in kept})

    def forward(self, statistics: Tensor, interactions: Tensor) -> Tensor:
        """(queries, types, 22) and (4, types, types) -> (queries, types, relation)"""
        like = self.first.weight
        vectors = self.second(self.inner(self.first(statistics.to(like)).relu()))
        for layer in self.rounds.values():
            vectors = layer(vectors, interactions.to(like))
        return self.outer(vectors)


class NodeEncoder(nn.Module):
    """What a node is to a query relation, told by the relations of its own edges: x_u."""

    def __init__(self, blueprint: Blueprint, relation: Axis, node: Axis, width: int, shells: int) -> None:
        super().__init__()
        hidden = blueprint.width("node.hidden", width)
        self.first = blueprint.linear(relation, hidden)
        self.sum = declare(WeightedSum(), {}, (hidden,))
        self.norm, self.gate = blueprint.layer_norm(hidden), blueprint.gate(hidden)
        self.second = blueprint.linear(hidden + fixed(shells), node)

    def forward(self, around: Around, vectors: Tensor) -> Tensor:
        """The nodes (rows,) as seen by their conditions -> (rows, node)"""
        table = self.first(vectors).flatten(0, 1)
        weights = around.count.to(table).log1p()[:, None]
        total = self.sum(table.index_select(0, around.label), weights, around.owner, around.shells.shape[0])
        # Small numbers matter most: an empty shell says that the node's component ends here.
        shells = (1 + around.shells).to(table).reciprocal()
        return self.second(torch.cat((self.gate(self.norm(total).relu()), shells), -1))


class Layer(nn.Module):
    """One residual layer of the propagation from the marked head."""

    def __init__(self, blueprint: Blueprint, index: int, state: Axis, relation: Axis, width: int) -> None:
        super().__init__()
        message = blueprint.width(f"layer{index}.message", width)
        self.reach = index + 1
        self.outer, self.inner = blueprint.gate(state), blueprint.gate(state + message)
        # No bias: a node that the mark has not reached stays silent.
        self.value = blueprint.linear(state, message, bias=False)
        self.weight = blueprint.linear(relation, message)
        self.sum = declare(WeightedSum(), {}, (message,))
        self.update = blueprint.linear(state + message, state)
        self.norm = blueprint.layer_norm(state)
        self.whole = blueprint.depth_gate("layers", index)

    def forward(self, state: Tensor, region: Reached, vectors: Tensor) -> Tensor:
        """(places, state) -> the same"""
        value, table = self.value(self.outer(state)), self.weight(vectors).flatten(0, 1)
        messages = self.sum(value.index_select(0, region.start), table.index_select(0, region.label), region.end, state.shape[0])
        branch = self.norm(self.update(self.inner(torch.cat((state, messages), -1)))).relu()
        return state + self.whole(branch * (region.hops <= self.reach)[:, None])


class Readout(nn.Module):
    """The perceptron that scores candidates."""

    def __init__(self, blueprint: Blueprint, inside: Axis, width: int) -> None:
        super().__init__()
        first, second = blueprint.width("readout.first", 2 * width), blueprint.width("readout.second", width)
        axes = (inside, first, second, fixed(1))
        self.gates = nn.ModuleList([blueprint.gate(axis) for axis in axes[:-1]])
        self.layers = nn.ModuleList([blueprint.linear(*pair) for pair in pairwise(axes)])

    def forward(self, value: Float[Tensor, "candidates inside"]) -> tuple[Float[Tensor, " candidates"], Float[Tensor, "candidates hidden"]]:
        """(candidates, inside) -> scores (candidates,) and the last activations (candidates, hidden)"""
        for gate, layer in zip(self.gates[:-1], self.layers[:-1], strict=True):
            value = layer(gate(value)).relu()
        return self.layers[-1](self.gates[-1](value))[:, 0], value


class IsdeaMarked(nn.Module, MakesReady):
    """Scores triples of a batch; no parameter depends on the number of nodes or relations."""

    def __init__(self, settings: IsdeaMarkedSettings, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.settings, self.blueprint = settings, Blueprint(architecture)
        blueprint, width = self.blueprint, settings.width
        state, relation, node, distance = (blueprint.width(name, width) for name in ("state", "relation", "node", "distance"))
        self.relations = RelationEncoder(blueprint, relation, width, settings.rounds)
        self.nodes = NodeEncoder(blueprint, relation, node, width, settings.layers)
        self.mark = blueprint.linear(relation, state)
        kept = blueprint.depth("layers", settings.layers, minimum=1)
        self.layers = nn.ModuleDict({str(at): blueprint.block("layers", at, Layer(blueprint, at, state, relation, width)) for at in kept})
        self.farthest = settings.layers + settings.beyond
        self.hops = blueprint.embedding(self.farthest + 2, distance)
        self.readout = Readout(blueprint, state + distance + relation + node + node + node + state, width)

    def ready(self, batch: Batch) -> Marked:
        """What is counted and found on the graph, before any weight is used."""
        return Marked.of_triples(index_of(batch.graph, self.settings.layers), batch.triples, self.settings.layers, self.farthest)

    def forward(self, batch: Batch | Marked) -> Output:
        """Scores (queries, candidates); features of the candidates: their last states, and the pairs with their heads."""
        given = batch if isinstance(batch, Marked) else self.ready(batch)
        scores, features = self.scores(given)
        named = {name: Feature(value, NODES) for name, value in features.items()}
        return Output(scores.view(given.member.shape), "candidates", named)

    def scores(self, given: Marked) -> tuple[Float[Tensor, " candidates"], dict[str, Float[Tensor, "candidates _"]]]:
        """Scores of the candidates of all queries, and features (candidates, channel)."""
        vectors, member = self.relations(given.statistics, given.interactions), given.member.flatten()
        own = vectors[given.of, given.relation]
        mark = self.mark(own)
        states = self._propagate(given.region, vectors, mark)
        heads, tails = self.nodes(given.heads, vectors)[member], self.nodes(given.tails, vectors)
        parts = (states, self.hops(given.hops), own[member], heads, tails, heads * tails, mark[member] * states)
        scores, pairs = self.readout(torch.cat(parts, -1))
        return scores, {"state": states, "pair": pairs}

    def _propagate(self, region: Reached, vectors: Tensor, mark: Tensor) -> Tensor:
        """The last states of the candidates (candidates, state)."""
        state = mark.new_zeros(region.hops.shape[0], mark.shape[1]).index_copy(0, region.head, mark)
        for layer in self.layers.values():
            state = layer(state, region, vectors)
        return state.index_select(0, region.candidate)


FAMILY = Family(IsdeaMarkedSettings, lambda settings, sizes, architecture: IsdeaMarked(settings, architecture))
