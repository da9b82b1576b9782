"""A question to ISDEA as plain lists of numbers, for runtimes that sum by lists and know no graph.

Which rows there are, and what is added to which, follows from the graph and the question alone, and its sizes from their numbers:
it is found here, before any weight is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stillhouse.workloads.graphs._shared.sums import Sums
from stillhouse.workloads.graphs.knowledge.rows import Level, Rows, Step

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Added:
    """As `Sums`: entry by entry a row, the column that is added to it, and perhaps the label of its weight."""

    entries: tuple[Tensor, ...]
    rows: int | torch.SymInt

    def __call__(self, table: Tensor, weights: Tensor | None = None) -> Tensor:
        """(columns, width) -> (rows, width)"""
        row, column, *label = self.entries
        picked = table.index_select(0, column)
        if weights is not None:
            picked = picked * (weights.index_select(0, label[0]) if label else weights).to(picked)[:, None]
        return table.new_zeros(self.rows, table.shape[1]).index_add(0, row, picked)


@dataclass(frozen=True, eq=False)
class Picked:
    """As `Sums` of which each row has one entry: its column."""

    column: Tensor

    def __call__(self, table: Tensor) -> Tensor:
        """(columns, width) -> (rows, width)"""
        return table.index_select(0, self.column)


@dataclass(frozen=True, eq=False)
class ListedLevel:
    """As `Level`: the node of each row and how many states it stands for; the rest rows of the nodes; the touched rows and their nodes."""

    node: Int[Tensor, " rows"]
    share: Float[Tensor, " rows"]
    rest_row: Int[Tensor, " nodes"]
    touched_row: Int[Tensor, "2 touched"] | None
    """None where no row is touched yet."""

    @staticmethod
    def of(level: Level) -> ListedLevel:
        """The lists of a level."""
        row, rest = torch.arange(level.touched), torch.arange(level.touched, len(level.node))
        touched = torch.stack((row, level.node[: level.touched])) if level.touched else None
        return ListedLevel(level.node, level.share.float(), rest, touched)

    @property
    def gather(self) -> Added:
        """(rows) -> (nodes)"""
        return Added((self.node, torch.arange(self.node.shape[0])), self.rest_row.shape[0])

    @property
    def spread(self) -> Picked:
        """(nodes) -> (rows)"""
        return Picked(self.node)

    def rest(self, value: Tensor) -> Tensor:
        """(rows, width) -> (nodes, width)"""
        return value.index_select(0, self.rest_row)

    def excess(self, value: Tensor, rest: Tensor) -> Tensor:
        """(rows, width) and (nodes, width) -> (touched, width)"""
        if self.touched_row is None:
            return value[:0]
        row, node = self.touched_row
        return rest.index_select(0, node) - value.index_select(0, row)


@dataclass(frozen=True, eq=False)
class ListedStep:
    """As `Step`; `adding` (4, entries) are the direct row, the row before, the source and the triple of each entry of its own relation."""

    lifted: Int[Tensor, " after"]
    lifted_direct: Int[Tensor, " direct"]
    placed: Int[Tensor, " after"]
    adding: Int[Tensor, "4 entries"]
    adding_other: Int[Tensor, "3 others"]

    @staticmethod
    def of(step: Step) -> ListedStep:
        """The lists of a step."""
        adding = torch.stack((*_entries(step.own), step.own_nodes.columns, step.own.label)).long()
        lifted, direct, placed = (sums.columns.long() for sums in (step.lift, step.lift_direct, step.place))
        return ListedStep(lifted, direct, placed, adding, torch.stack((*_entries(step.other), step.other.label)).long())


@dataclass(frozen=True, eq=False)
class Between:
    """A `ListedStep` with the levels before and after it, asked as a `Step` is."""

    listed: ListedStep
    before: ListedLevel
    after: ListedLevel

    @property
    def lift(self) -> Picked:
        """(before) -> (after)"""
        return Picked(self.listed.lifted)

    @property
    def lift_direct(self) -> Picked:
        """(before) -> (direct)"""
        return Picked(self.listed.lifted_direct)

    @property
    def place(self) -> Picked:
        """(before + direct) -> (after)"""
        return Picked(self.listed.placed)

    @property
    def own(self) -> Added:
        """(before) -> (direct)"""
        row, before, _, triple = self.listed.adding
        return Added((row, before, triple), self.listed.lifted_direct.shape[0])

    @property
    def own_nodes(self) -> Added:
        """(nodes) -> (direct)"""
        row, _, source, triple = self.listed.adding
        return Added((row, source, triple), self.listed.lifted_direct.shape[0])

    @property
    def other(self) -> Added:
        """(nodes + touched before + touched before + direct) -> (after)"""
        return Added(tuple(self.listed.adding_other), self.listed.placed.shape[0])


def _entries(sums: Sums) -> tuple[Tensor, Tensor]:
    """The row and the column of each entry, in the order of `columns`."""
    starts = sums.starts.long()
    return torch.arange(len(starts) - 1).repeat_interleave(starts.diff()), sums.columns.long()


@dataclass(frozen=True, eq=False)
class Listed:
    """All that a network computes with: the lists of levels and steps, which are the graph's, and what the question asks and may see."""

    level: Mapping[str, ListedLevel]
    step: Mapping[str, ListedStep]
    joined: Int[Tensor, "2 pairs"]
    """Target and source of all that are joined."""
    others: Float[Tensor, ""]
    """How many relations there are beside each."""
    triples: Float[Tensor, " triples"]
    """1 for each triple of the graph that may be seen, else 0."""
    pairs: Float[Tensor, " pairs"]
    """How many edges that may be seen join each pair."""
    asked: Int[Tensor, " asked"]
    """The rows of the last level that are asked about."""
    place: Int[Tensor, "queries candidates 2"]
    """Of each candidate's head and tail, among them."""
    distance: Int[Tensor, "queries candidates"]
    """Of each candidate's nodes."""

    @staticmethod
    def of(rows: Rows, triples: Tensor, asked: Tensor, place: Tensor, distance: Tensor) -> Listed:
        """From the rows of a graph and the weights of its triples; of what is asked, the codes, and (queries, candidates, 2) places."""
        weights, row = triples.float(), rows.steps[-1].after.row_of_code(asked)
        return Listed(*_of_graph(rows), weights, rows.pair_weights(weights), row, place, distance)

    @property
    def any_length(self) -> Mapping[str, tuple[int, ...]]:
        """The last axis of all lists, and both the number of queries and that of candidates."""
        parts: Mapping[str, Any] = {
            f"{kind}_{index}_": part for kind in ("level", "step") for index, part in getattr(self, kind).items()
        } | {"": self}
        lists = {f"{name}{each.name}": getattr(part, each.name) for name, part in parts.items() for each in fields(part)}
        last = {name: tuple(range(value.ndim))[-1:] for name, value in lists.items() if isinstance(value, Tensor)}
        return last | {"place": (0, 1), "distance": (0, 1)}

    @property
    def neighbours(self) -> Added:
        """(nodes) -> (nodes)"""
        return Added(tuple(self.joined), self.level["0"].rest_row.shape[0])

    @property
    def steps(self) -> Iterator[Between]:
        """One for each layer."""
        return (Between(step, self.level[index], self.level[str(int(index) + 1)]) for index, step in self.step.items())


@lru_cache(maxsize=8)
def _of_graph(rows: Rows) -> tuple[Mapping[str, ListedLevel], Mapping[str, ListedStep], Tensor, Tensor]:
    levels = [rows.steps[0].before, *(step.after for step in rows.steps)]
    return (
        {str(index): ListedLevel.of(level) for index, level in enumerate(levels)},
        {str(index): ListedStep.of(step) for index, step in enumerate(rows.steps)},
        torch.stack(_entries(rows.neighbours)),
        torch.tensor(float(levels[0].others)),
    )
