"""Temporal graphs as they are, before any window is cut: a series on every node, and which edges hold at which step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.contracts.faults import refuse_all


@dataclass(frozen=True, eq=False)
class Events:
    """Edges as they were found, in any order. One event is one edge at one step."""

    step: Tensor
    """(events,), int64; zeros where the edges hold at all steps."""
    source: Tensor
    """(events,), int64"""
    target: Tensor
    """(events,), int64"""
    weight: Tensor
    """(events,), float64, never negative."""
    where: Callable[[int], str] = "event {}".format
    """The place of an event in what was read, for messages."""

    def take(self, chosen: Tensor) -> Events:
        """The events of these positions, in this order."""
        return Events(
            self.step[chosen], self.source[chosen], self.target[chosen], self.weight[chosen], lambda index: self.where(int(chosen[index]))
        )


@dataclass(frozen=True, eq=False)
class Panel:
    """One or more temporal graphs over the same steps; a shorter graph begins later, and all end together."""

    features: Tensor
    """(nodes, steps, channels), float64; zeros before a graph begins, NaN where a value is missing. The first channel is
    what is forecast by default."""
    step: Tensor
    """(events,), int64. Events are in the order of (step, source, target), no two with the same; all zeros if `static`."""
    source: Tensor
    """(events,), int64"""
    target: Tensor
    """(events,), int64"""
    weight: Tensor
    """(events,), float64, finite and never negative."""
    static: bool
    """Whether every edge holds at every step."""
    graph: Tensor
    """(nodes,), int64, never falling: which graph a node belongs to."""
    length: Tensor
    """(graphs,), int64: the steps of each graph; it begins at step `steps - length`."""
    labels: Tensor | None
    """(graphs,), int64: the class of each graph, if graphs have classes."""
    channels: tuple[str, ...]
    """The names of the channels."""

    @property
    def begin(self) -> Tensor:
        """(nodes,): the first step of each node's graph."""
        return (self.features.shape[1] - self.length)[self.graph]


@dataclass(frozen=True, eq=False)
class Graphs:
    """Which graph each node belongs to, how many steps each graph has, and of which class each one is."""

    graph: Tensor
    length: Tensor
    labels: Tensor | None = None


def assemble(features: Tensor, channels: Sequence[str], events: Events, *, static: bool, graphs: Graphs | None = None) -> Panel:
    """A panel of sorted events; without `graphs`, all nodes are one graph without a class.

    Raises UserError with the places of the events that name no node or step, join two graphs, hold before their graph begins,
    have a weight that is negative or not finite, or occur twice.
    """
    graphs = graphs or Graphs(torch.zeros(len(features), dtype=torch.int64), torch.tensor([features.shape[1]]))
    _check(events, features, graphs, static)
    _refuse_repeated(events)
    events = events.take(torch.argsort(_key(events)))
    return Panel(
        features=features,
        step=events.step,
        source=events.source,
        target=events.target,
        weight=events.weight,
        static=static,
        graph=graphs.graph,
        length=graphs.length,
        labels=graphs.labels,
        channels=tuple(channels),
    )


def _refuse_repeated(events: Events) -> None:
    again, first = _repeated(events)

    def told(row: int) -> str:
        got = f"{_named(events, again[row])} is {events.where(int(first[row]))} too"
        remedy = "`prepare: {read: {repeated: once}}` takes it once if the weights agree"
        return f"{events.where(int(again[row]))} - wanted each edge once per step - {got}; {remedy}"

    refuse_all(len(again), told)


def once(events: Events) -> Events:
    """Without the repetitions of an edge at a step. Raises UserError where they have another weight."""
    again, first = _repeated(events)
    differs = events.weight[again] != events.weight[first]
    pairs = torch.stack((again[differs], first[differs]), 1)

    def told(row: int) -> str:
        later, earlier = pairs[row].tolist()
        wanted = f"wanted the weight {events.weight[earlier].item():g} that {_named(events, later)} has at {events.where(earlier)}"
        return f"{events.where(later)} - {wanted} - got {events.weight[later].item():g}"

    refuse_all(len(pairs), told)
    kept = torch.ones(len(events.step), dtype=torch.bool)
    kept[again] = False
    return events.take(kept.nonzero().flatten())


def both_ways(events: Events) -> Events:
    """Every edge in both directions; where both are there already, they are left as they are if their weights agree."""
    there = torch.arange(len(events.step))
    back = events.source != events.target
    doubled = events.take(torch.cat((there, there[back])))
    source = torch.cat((events.source, events.target[back]))
    target = torch.cat((events.target, events.source[back]))
    return once(Events(doubled.step, source, target, doubled.weight, doubled.where))


def _key(events: Events) -> Tensor:
    """(events,): one number for each (step, source, target), in their order."""
    nodes = int(torch.stack((events.source.max(), events.target.max())).max()) + 1 if len(events.step) else 1
    return (events.step * nodes + events.source) * nodes + events.target


def _repeated(events: Events) -> tuple[Tensor, Tensor]:
    """The events whose edge at the same step occurred before, in their order, and the first occurrence of each."""
    order = torch.argsort(key := _key(events), stable=True)
    _, inverse, counts = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
    start = (counts.cumsum(0) - counts)[inverse]
    later = (start != torch.arange(len(order))).nonzero().flatten()
    again, first = order[later], order[start[later]]
    by_place = torch.argsort(again)
    return again[by_place], first[by_place]


def _named(events: Events, index: int | Tensor) -> str:
    return f"the edge from node {events.source[index]} to node {events.target[index]} at step {events.step[index]}"


def _check(events: Events, features: Tensor, graphs: Graphs, static: bool) -> None:
    nodes, steps = features.shape[:2]
    _refuse(events, (events.source < 0) | (events.source >= nodes), f"a source of 0 to {nodes - 1}", events.source)
    _refuse(events, (events.target < 0) | (events.target >= nodes), f"a target of 0 to {nodes - 1}", events.target)
    last = 0 if static else steps - 1
    _refuse(events, (events.step < 0) | (events.step > last), f"a step of 0 to {last}", events.step)
    _refuse(events, ~(events.weight.isfinite() & (events.weight >= 0)), "a finite weight of at least 0", events.weight)
    graph = graphs.graph[events.source]
    _refuse(events, graphs.graph[events.target] != graph, "an edge within one graph, a target", events.target)
    if not static:
        _refuse(events, events.step < (steps - graphs.length)[graph], "a step after the beginning of the graph", events.step)


def _refuse(events: Events, wrong: Tensor, wanted: str, got: Tensor) -> None:
    rows = wrong.nonzero().flatten().tolist()
    refuse_all(len(rows), lambda row: f"{events.where(rows[row])} - wanted {wanted} - got {got[rows[row]].item():g}")
