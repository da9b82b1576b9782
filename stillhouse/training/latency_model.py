"""Latency as a function of counts: a sum of what can be counted, weighted by least squares so that it fits measured times.

The features are the MACs of each module, the bytes that all operations read and write, the blocks that are kept, and one. Their weights
are not negative, so a network that is cut further is never dearer, and the whole is a `Cost`: a smooth function of the soft counts of a
search (arXiv 2405.07194, A.1.2, which fits one for each block).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy
import torch
from torch import nn

from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Group, full
from stillhouse.space.cost import Cost, Term
from stillhouse.space.memory import memory

if TYPE_CHECKING:
    from jaxtyping import Float

FOLDS = 5
Features = Mapping[str, Cost]
"""What may take time, by name."""


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """`cost` is in milliseconds. `coefficients` are those of the whole network by feature; `error` is the median, over networks that a fit
    had not seen, of the difference from what was measured as a share of it."""

    cost: Cost
    coefficients: Mapping[str, float]
    error: float


def features(model: nn.Module, groups: Sequence[Group], run: Callable[[], object]) -> Features:
    """Of a full network; `run` calls it once on the batch that latencies are for."""
    found: dict[str, tuple[Term, ...]] = {}
    for term in cost.macs(model, run).terms:
        found[f"macs of {term.module}"] = (*found.get(f"macs of {term.module}", ()), term)
    found["bytes read and written"] = memory(model, run).activations.terms
    for group in groups:
        if group.kind == "depth":
            found[f"blocks of {group.name}"] = tuple(Term(1.0, (), ((group.name, index),)) for index in range(group.size))
    return {name: Cost(terms) for name, terms in found.items()} | {"constant": Cost((Term(1.0, ()),))}


def drawn(groups: Sequence[Group], number: int, multiple: int) -> list[Architecture]:
    """The whole network and `number` random ones, always the same; widths are multiples of `multiple` wherever a group allows it."""
    rng = torch.Generator().manual_seed(0)
    return [full(tuple(groups)), *(Architecture({group.name: _kept(group, multiple, rng) for group in groups}) for _ in range(number))]


def _kept(group: Group, multiple: int, rng: torch.Generator) -> tuple[int, ...]:
    count = int(torch.randint(group.minimum, group.size + 1, (), generator=rng))
    if group.kind == "width":
        return tuple(range(min(multiple * -(-max(count, 1) // multiple), group.size)))
    return tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))


def fit(known: Features, groups: tuple[Group, ...], architectures: Sequence[Architecture], times: Sequence[float]) -> LatencyModel:
    """The weights with the least squares of relative differences; the first architecture is the whole network. `times` in milliseconds."""
    counts = [cost.counts_of(groups, architecture) for architecture in architectures]
    values = torch.stack([torch.stack([cost.evaluate(feature, each) for feature in known.values()]) for each in counts]).numpy()
    weights, measured = _weights(values, numpy.array(times)), numpy.array(times)
    terms = (
        replace(term, coefficient=term.coefficient * weight)
        for feature, weight in zip(known.values(), weights, strict=True)
        for term in feature.terms
        if weight > 0
    )
    shares = {name: float(share) for name, share in zip(known, weights * values[0], strict=True) if share > 0}
    return LatencyModel(Cost(tuple(terms)), shares, statistics.median(_errors(values, measured)))


def _weights(values: Float[numpy.ndarray, "networks features"], times: Float[numpy.ndarray, " networks"]) -> numpy.ndarray:
    from scipy.optimize import nnls  # a third of a second that only who has a budget in milliseconds has to pay

    scale = numpy.where(values.max(0) > 0, values.max(0), 1.0)
    found: numpy.ndarray = nnls(values / scale / times[:, None], numpy.ones(len(times)))[0]
    return found / scale


def _errors(values: numpy.ndarray, times: numpy.ndarray) -> Iterator[float]:
    """Of each network, by a fit to the networks of the other folds."""
    folds = numpy.arange(len(times)) % FOLDS
    for fold in range(min(FOLDS, len(times))):
        weights = _weights(values[folds != fold], times[folds != fold])
        yield from abs(values[folds == fold] @ weights / times[folds == fold] - 1).tolist()
