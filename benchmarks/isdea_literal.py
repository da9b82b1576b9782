"""ISDEA written as its formula reads, one relation after the other: what the fast form must equal, and is timed against."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.workloads.graphs.knowledge.families.isdea import Convolution, Isdea, Mix, Perceptron
from stillhouse.workloads.graphs.knowledge.graph import Batch, hide_pairs

Edges = tuple[Tensor, Tensor, Tensor]


def literal_scores(model: Isdea, batch: Batch, *, subtract: bool = False) -> Tensor:
    """The scores that `model` gives a batch, from its own weights, with all N x 2R states in memory.

    The mean of the others is a sum over all of them for each relation, so time grows with R^2; or, if `subtract`, the
    sum of all less the relation itself, which makes time grow with R.
    """
    state = literal_states(model, batch, subtract)
    head, relation, tail = batch.triples.reshape(-1, 3).unbind(-1)
    return model.score(state[relation, head], state[relation, tail], model.apart(batch))[0].view(batch.triples.shape[:-1])


def literal_states(model: Isdea, batch: Batch, subtract: bool = False) -> Tensor:
    """(2R, nodes, channels)"""
    graph = hide_pairs(batch.graph, batch.triples)
    state = model.score.second.weight.new_ones(2 * graph.relations, graph.nodes, model.settings.width)
    for index, layer in enumerate(model.layers.values()):
        changed = _convolved(layer, torch.relu(state), graph.augmented(), subtract)
        state = state + changed if index and model.settings.residual else changed
    first, second = model.mixes
    return _mixed(second, torch.relu(_normalised(model.norm, _mixed(first, state, subtract))), subtract)


def _convolved(layer: Convolution, state: Tensor, edges: Edges, subtract: bool) -> Tensor:
    """BN(GIN1(H_k, A_k) + GIN2(mean of the others, their edges)) for each relation k."""
    results = []
    for kind, (own_state, other_state) in enumerate(_beside_others(state, subtract)):
        own = _isomorphism(layer.own, own_state, edges, edges[1] == kind)
        other = _isomorphism(layer.other, other_state, edges, edges[1] != kind)
        results.append(own + other)
    return _normalised(layer.norm, torch.stack(results))


def _beside_others(state: Tensor, subtract: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Each relation's state with the mean of all others."""
    # Taken apart once: the gradient of state[k] would be as large as all states, for each k.
    states, total, others = state.unbind(), state.sum(0), max(len(state) - 1, 1)
    for kind, own in enumerate(states):
        rest = total - own if subtract else torch.stack([*states[:kind], *states[kind + 1 :]]).sum(0)
        yield own, rest / others


def _isomorphism(perceptron: Perceptron, state: Tensor, edges: Edges, which: Tensor) -> Tensor:
    """GIN: MLP((1 + eps) x_i + sum over in-neighbours of x_j)."""
    source, _, target = edges
    total = ((1 + perceptron.eps) * state).index_add(0, target[which], state[source[which]])
    hidden = torch.relu(functional.linear(total, perceptron.first.weight, perceptron.bias))
    return functional.linear(hidden, perceptron.second.weight, perceptron.second.bias)


def _mixed(mix: Mix, state: Tensor, subtract: bool) -> Tensor:
    return torch.stack([mix.own(own) + mix.other(others) for own, others in _beside_others(state, subtract)])


def _normalised(norm: torch.nn.BatchNorm1d, state: Tensor) -> Tensor:
    flat = functional.batch_norm(
        state.flatten(0, 1), norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum or 0.0, norm.eps
    )
    return flat.view(state.shape)
