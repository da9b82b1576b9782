"""Batches of triples: true ones with false ones drawn anew in training, and the fixed lists of validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, Task, inverse, triple_codes

_REDRAWS = 100


class DataSettings(Settings):
    """As published for ISDEA; ISDEA+ groups its batches by relation and takes a supervision share of 0.1."""

    batch_size: int = Field(256, gt=0)
    """True triples in a training batch."""
    tail_negatives: int = Field(2, ge=0)
    relation_negatives: int = Field(2, ge=0)
    group_by_relation: bool = False
    """Whether all true triples of a training batch have one relation."""
    supervision_share: float | None = Field(None, gt=0, lt=1)
    """If set, each pass observes all training triples but a new share of each relation's, and asks about that share."""
    softmax: bool = False
    """Whether training is by cross-entropy over each query's candidates, and not by a logistic loss of each candidate."""
    connected: bool = False
    """Whether training leaves out true triples at an end of which no other edge remains once they are hidden."""
    isolated_negative: bool = False
    """Whether the last false tail of each query is a further node without any edge."""
    batches: int | None = Field(None, gt=0)
    """Ends a training pass after so many batches."""
    evaluation_batch_size: int | None = Field(None, gt=0)
    """Lists in a batch of validation or test. ISDEA and ISDEA+ hide the pairs of a whole batch, which must leave most of the
    graph to see; None takes as many lists as join a twentieth of all pairs of nodes, and 256 at most."""
    valid_tasks: tuple[Literal["mixed", "node", "relation"], ...] = Field(("mixed",), min_length=1)
    test_tasks: tuple[Literal["mixed", "node", "relation"], ...] = Field(("mixed", "node", "relation"), min_length=1)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Training and validation, and the test if it is asked for."""
    sizes = read_json(prepared / "sizes.json")
    graph = _graph(prepared / "train_graph.parquet", sizes["train_nodes"], sizes["train_relations"])
    observed = torch.stack((graph.head, graph.relation, graph.tail), -1)
    asked = _triples(prepared / "train.parquet")
    training = Training(settings, graph, observed, _connected(asked, graph) if settings.connected else asked)
    return Data(
        Batches(training.draw, training.length),
        _lists(settings, prepared, "valid", settings.valid_tasks, graph),
        _test(settings, prepared, sizes) if test else None,
        {"nodes": graph.nodes, "relations": graph.relations},
    )


def _test(settings: DataSettings, prepared: Path, sizes: dict[str, int]) -> Batches[Batch]:
    graph = _graph(prepared / "test_graph.parquet", sizes["test_nodes"], sizes["test_relations"])
    return _lists(settings, prepared, "test", settings.test_tasks, graph)


def _lists(settings: DataSettings, prepared: Path, split: str, tasks: tuple[Task, ...], graph: Graph) -> Batches[Batch]:
    lists = {task: _triples(prepared / f"{split}_{task}.parquet") for task in tasks}
    candidates = next(iter(lists.values())).shape[1]
    size = settings.evaluation_batch_size or min(max(graph.nodes**2 // 40 // candidates, 1), 256)
    batches = [Batch(graph, triples, task) for task in lists for triples in lists[task].split(size)]
    return Batches(lambda rng: iter(batches), len(batches))


@dataclass(frozen=True)
class Training:
    """The training batches of a graph. `observed` are its triples and `asked` those trained on, both (triples, 3)."""

    settings: DataSettings
    graph: Graph
    observed: Tensor
    asked: Tensor

    @property
    def length(self) -> int:
        """Batches in a pass."""
        counts = torch.bincount(self.asked[:, 1], minlength=self.graph.relations)
        if self.settings.supervision_share:
            counts = _supervised(counts, self.settings.supervision_share)
        # Each true triple is asked in both directions, as triples of two relations.
        groups = counts.repeat(2) if self.settings.group_by_relation else 2 * counts.sum(0, keepdim=True)
        number = int((groups + self.settings.batch_size - 1).div(self.settings.batch_size, rounding_mode="floor").sum())
        return min(number, self.settings.batches or number)

    @cached_property
    def shown(self) -> Graph:
        """The graph that models see: the same object in every pass, because what they derive from it is kept by object."""
        return replace(self.graph, nodes=self.graph.nodes + 1) if self.settings.isolated_negative else self.graph

    def draw(self, rng: torch.Generator) -> Iterator[Batch]:
        """One pass over all true triples and their inverses, in random order."""
        graph, shown, asked = self.graph, self.shown, self.asked
        if self.settings.supervision_share:
            chosen = _chosen(asked, self.settings.supervision_share, graph.relations, rng)
            shown, asked = shown.keep(~_contained(self.observed, asked[chosen], graph)), asked[chosen]
        known = torch.cat((self.observed, self.asked))
        codes = torch.cat((_codes(known, graph), _codes(inverse(known, graph.relations), graph))).unique()
        for part in self._parts(torch.cat((asked, inverse(asked, graph.relations))), rng):
            yield Batch(shown, self._with_false(part, codes, rng), "train", softmax=self.settings.softmax)

    def _parts(self, triples: Tensor, rng: torch.Generator) -> list[Tensor]:
        triples = triples[torch.randperm(len(triples), generator=rng)]
        if not self.settings.group_by_relation:
            return list(triples.split(self.settings.batch_size))[: self.settings.batches]
        counts = torch.bincount(triples[:, 1])
        groups = triples[torch.argsort(triples[:, 1], stable=True)].split(counts.tolist())
        parts = [part for group in groups for part in group.split(self.settings.batch_size) if len(part)]
        return [parts[place] for place in torch.randperm(len(parts), generator=rng).tolist()][: self.settings.batches]

    def _with_false(self, true: Tensor, known: Tensor, rng: torch.Generator) -> Tensor:
        tails = _corrupted(true, 2, self.settings.tail_negatives, known, self.graph, rng)
        if self.settings.isolated_negative:
            tails[:, -1:, 2] = self.graph.nodes
        relations = _corrupted(true, 1, self.settings.relation_negatives, known, self.graph, rng)
        return torch.cat((true[:, None], tails, relations), 1)


def _corrupted(true: Tensor, column: int, number: int, known: Tensor, graph: Graph, rng: torch.Generator) -> Tensor:
    """(triples, number, 3) with one column drawn anew while the triple is known to be true.

    Where nothing false is left (all nodes or relations are true), a true triple stays after many draws.
    """
    size = graph.nodes if column == 2 else 2 * graph.relations
    drawn = true.repeat_interleave(number, 0)
    wrong = torch.arange(len(drawn))
    for _ in range(_REDRAWS):
        drawn[wrong, column] = torch.randint(size, (len(wrong),), generator=rng)
        wrong = wrong[_member(_codes(drawn[wrong], graph), known)]
        if not len(wrong):
            break
    return drawn.view(len(true), number, 3)


def _connected(triples: Tensor, graph: Graph) -> Tensor:
    degree = torch.bincount(torch.cat((graph.head, graph.tail)), minlength=graph.nodes)
    return triples[(degree[triples[:, 0]] > 1) & (degree[triples[:, 2]] > 1)]


def _supervised(counts: Tensor, share: float) -> Tensor:
    """How many triples of each relation are asked in a pass: the share, but at least one of a relation that has two."""
    return torch.minimum((counts * share).round().long().clamp(min=1), counts - 1).clamp(min=0)


def _chosen(asked: Tensor, share: float, relations: int, rng: torch.Generator) -> Tensor:
    """Places of a random share of each relation's triples."""
    order = torch.randperm(len(asked), generator=rng)
    order = order[torch.argsort(asked[order, 1], stable=True)]
    counts = torch.bincount(asked[:, 1], minlength=relations)
    first = counts.cumsum(0) - counts
    relation = asked[order, 1]
    return order[torch.arange(len(order)) - first[relation] < _supervised(counts, share)[relation]]


def _member(codes: Tensor, known: Tensor) -> Tensor:
    """Which codes are among the sorted known ones."""
    return known[torch.searchsorted(known, codes).clamp(max=len(known) - 1)] == codes


def _contained(triples: Tensor, among: Tensor, graph: Graph) -> Tensor:
    return torch.isin(_codes(triples, graph), _codes(among, graph))


def _codes(triples: Tensor, graph: Graph) -> Tensor:
    return triple_codes(triples[..., 0], triples[..., 1], triples[..., 2], graph)


def _graph(path: Path, nodes: int, relations: int) -> Graph:
    head, relation, tail = _triples(path).unbind(-1)
    return Graph(head.contiguous(), relation.contiguous(), tail.contiguous(), nodes, relations)


def _triples(path: Path) -> Tensor:
    """(triples, 3) or (queries, candidates, 3), int64."""
    columns = read_parquet(path)
    return torch.stack([torch.as_tensor(columns[name]) for name in ("head", "relation", "tail")], -1).long()
