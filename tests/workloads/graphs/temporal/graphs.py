"""Random temporal graphs, and the same graph written in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.workloads.graphs.temporal.batch import Batch


def random_batch(
    seed: int,
    nodes: int,
    steps: int,
    channels: int,
    static: bool = False,
    windows: int = 1,
    dtype: torch.dtype = torch.float64,
    *,
    classes: int = 0,
    density: float = 0.3,
) -> Batch:
    """Windows of `nodes` nodes each, with directed edges that come and go and some self loops.

    In each window the last node is isolated, the one before it has no edge that goes in and the one before that none that goes out.
    One value is asked for of every node, or with `classes` one class of every window.
    """
    rng = torch.Generator().manual_seed(seed)
    return joined([_random_window(rng, nodes, steps, channels, static, dtype, classes, density) for _ in range(windows)])


def permuted(batch: Batch, order: Tensor) -> Batch:
    """The same graph with other numbers: node i of the result is node order[i] of the batch."""
    asked = {name: getattr(batch, name)[order] for name in ("history", "window", "asked", "last")}
    target = batch.target[order] if batch.target.dim() == 2 else batch.target
    return replace(batch, edges=torch.argsort(order)[batch.edges], target=target, **asked)


def shuffled(batch: Batch, seed: int) -> Batch:
    """The same graph with its pairs, and the events of each step, in another order."""
    rng = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(batch.edges.shape[1], generator=rng)
    if batch.static:
        return replace(batch, edges=batch.edges[:, pairs], weight=batch.weight[pairs])
    events = torch.cat([start + torch.randperm(end - start, generator=rng) for start, end in _bounds(batch)])
    pair = torch.argsort(pairs)[batch.pair[events]]
    return replace(batch, edges=batch.edges[:, pairs], weight=batch.weight[events], pair=pair)


def as_dynamic(batch: Batch) -> Batch:
    """A batch of static edges with every edge written down at every step."""
    pairs = batch.edges.shape[1]
    pair, starts = torch.arange(pairs).repeat(batch.steps), tuple(pairs * step for step in range(batch.steps + 1))
    return replace(batch, weight=batch.weight.repeat(batch.steps), pair=pair, starts=starts)


def joined(batches: Sequence[Batch]) -> Batch:
    """The windows of several batches side by side; all of as many steps, all static or all dynamic."""
    first = batches[0]
    nodes = [len(batch.history) for batch in batches]
    pairs = [batch.edges.shape[1] for batch in batches]
    windows = [batch.windows for batch in batches]
    together = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in ("history", "target", "asked", "last")}
    edges = torch.cat([batch.edges + sum(nodes[:index]) for index, batch in enumerate(batches)], 1)
    window = torch.cat([batch.window + sum(windows[:index]) for index, batch in enumerate(batches)])
    if first.static:
        events = {"weight": torch.cat([batch.weight for batch in batches])}
    else:
        events = {
            "weight": _by_step(batches, [batch.weight for batch in batches]),
            "pair": _by_step(batches, [batch.pair + sum(pairs[:index]) for index, batch in enumerate(batches)]),
        }
    starts = tuple(sum(counts) for counts in zip(*(batch.starts for batch in batches), strict=True))
    return replace(first, edges=edges, window=window, windows=sum(windows), starts=starts, **together, **events)


def dense(batch: Batch, step: int) -> Tensor:
    """(nodes, nodes): the weight of each edge of one step, its source the row and its target the column."""
    (source, target), weight = batch.at(step)
    matrix = weight.new_zeros(len(batch.history), len(batch.history))
    for row, column, value in zip(source.tolist(), target.tolist(), weight.tolist(), strict=True):
        matrix[row, column] += value
    return matrix


def _random_window(
    rng: torch.Generator, nodes: int, steps: int, channels: int, static: bool, dtype: torch.dtype, classes: int, density: float
) -> Batch:
    present = torch.rand(1 if static else steps, nodes, nodes, generator=rng) < density
    present[:, -1], present[:, :, -1], present[:, :, -2:-1], present[:, -3:-2] = False, False, False, False
    union = present.any(0)
    step, *_ = events = present.nonzero().T
    number = union.flatten().cumsum(0).view(nodes, nodes) - 1
    counts = torch.bincount(step, minlength=steps)
    return Batch(
        history=torch.randn(nodes, steps, channels, generator=rng, dtype=dtype),
        edges=union.nonzero().T,
        weight=torch.rand(events.shape[1], generator=rng, dtype=dtype),
        pair=events.new_empty(0) if static else number[events[1], events[2]],
        starts=() if static else (0, *counts.cumsum(0).tolist()),
        window=torch.zeros(nodes, dtype=torch.long),
        windows=1,
        target=torch.randint(classes, (1,), generator=rng) if classes else torch.randn(nodes, 1, generator=rng, dtype=dtype),
        asked=torch.ones(nodes, dtype=torch.bool) if classes else torch.rand(nodes, generator=rng) < 0.8,
        last=torch.randn(nodes, 0 if classes else 1, generator=rng, dtype=dtype),
    )


def _bounds(batch: Batch) -> list[tuple[int, int]]:
    return list(zip(batch.starts, batch.starts[1:], strict=False))


def _by_step(batches: Sequence[Batch], values: Sequence[Tensor]) -> Tensor:
    """Values of events, one tensor a batch, in the order of their steps."""
    return torch.cat(
        [value[slice(*bounds)] for step in zip(*map(_bounds, batches), strict=True) for value, bounds in zip(values, step, strict=True)]
    )
