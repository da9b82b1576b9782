"""Batches of triples: true ones with false ones drawn anew in training, and the fixed lists of validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import FewLabels, beside, labelled
from stillhouse.training.rows import Order, anywhere
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, Task, inverse, triple_codes

_REDRAWS = 100
_NONE = torch.empty((0, 3), dtype=torch.int64)


class DataSettings(FewLabels):
    """As published for ISDEA; ISDEA+ groups its batches by relation and takes a supervision share of 0.1.

    An example is a triple and its class the relation. All observed triples stay in the graph; `train_limit` says which are asked about
    with their answer, and `unlabelled` further ones have candidates too, of which only a teacher may say which is true.
    """

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

    @model_validator(mode="after")
    def _beside_plain_batches(self) -> DataSettings:
        if self.unlabelled and (self.group_by_relation or self.supervision_share or self.batches):
            raise ValueError("unlabelled should be 0 where group_by_relation, supervision_share or batches shape the training batches")
        return self


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Training and validation, and the test if it is asked for."""
    sizes = read_json(prepared / "sizes.json")
    graph = _graph(prepared / "train_graph.parquet", sizes["train_nodes"], sizes["train_relations"])
    observed = torch.stack((graph.head, graph.relation, graph.tail), -1)
    asked = _triples(prepared / "train.parquet")
    training = Training(settings, graph, observed, *divided(settings, _connected(asked, graph) if settings.connected else asked))
    return Data(
        Batches(training.draw, training.length),
        _lists(settings, prepared, "valid", settings.valid_tasks, graph),
        _test(settings, prepared, sizes) if test else None,
        {"nodes": graph.nodes, "relations": graph.relations},
    )


def divided(settings: DataSettings, triples: Tensor) -> tuple[Tensor, Tensor]:
    """Of triples (triples, 3) those whose answer is known, and those that ride along without."""
    known = torch.zeros(len(triples), dtype=torch.bool)
    known[labelled(triples[:, 1], settings.train_limit, settings.labels_seed)] = True
    return triples[known], triples[~known] if settings.unlabelled else triples[:0]


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
    """The training batches of a graph: of its triples, all `observed`, those `asked` and the `rest` without answer, (triples, 3)."""

    settings: DataSettings
    graph: Graph
    observed: Tensor
    asked: Tensor
    rest: Tensor = _NONE

    @cached_property
    def beside(self) -> Order | None:
        """The places in `asked` and its inverses, and after them in `rest` and its inverses, where some ride along."""
        known, every = 2 * len(self.asked), 2 * (len(self.asked) + len(self.rest))
        if known == every:
            return None
        return beside(anywhere(known, self.settings.batch_size), torch.arange(known, every), min(self.settings.unlabelled, every - known))

    @property
    def length(self) -> int:
        """Batches in a pass."""
        if self.beside:
            return self.beside.length
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
        known = torch.cat((self.observed, self.asked, self.rest))
        codes = torch.cat((_codes(known, graph), _codes(inverse(known, graph.relations), graph))).unique()
        for part, answered in self._parts(torch.cat((asked, inverse(asked, graph.relations))), rng):
            yield Batch(shown, self._with_false(part, codes, rng), "train", softmax=self.settings.softmax, known=answered)

    def _parts(self, triples: Tensor, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor | None]]:
        """(triples, 3), and which of them have an answer where not all have."""
        if not self.beside:
            yield from ((part, None) for part in self._answered(triples, rng))
            return
        every = torch.cat((triples, self.rest, inverse(self.rest, self.graph.relations)))
        yield from ((every[places], places < len(triples)) for places in self.beside.draw(rng))

    def _answered(self, triples: Tensor, rng: torch.Generator) -> list[Tensor]:
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
