"""Raw triples into integer tables and fixed candidate lists, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.graphs.knowledge.candidates import candidate_lists
from stillhouse.workloads.graphs.knowledge.graph import inverse
from stillhouse.workloads.graphs.knowledge.read import Source, Triples, read


class PrepareSettings(Settings):
    """What is read, and which false answers a true one is ranked among."""

    train: str = ""
    """The folder within the raw data; empty for its top."""
    test: str = ""
    """The folder of the test graph, where that is another one (GraIL)."""
    negatives: int = Field(50, ge=2)
    candidates: Literal["clean", "authors"] = "clean"
    """False nodes of the test: those with an edge in the observed test graph; or, as published, of both graphs together."""
    directions: Literal["tail", "both"] = "tail"
    """Whether (?, k, j) is asked too, as (j, k + R, ?), beside (i, k, ?)."""


@dataclass(frozen=True)
class Numbering:
    """The sorted names of nodes and of relations of one graph; a name's number is its place."""

    nodes: tuple[str, ...]
    relations: tuple[str, ...]

    @staticmethod
    def of(*parts: Triples) -> Numbering:
        """Numbers all names in some triples."""
        heads, relations, tails = zip(*(triple for part in parts for triple in part), strict=True)
        return Numbering(tuple(sorted({*heads, *tails})), tuple(sorted(set(relations))))

    def number(self, triples: Triples) -> Tensor:
        """(triples, 3), int64, each once, in the order of their first occurrence."""
        node = {name: place for place, name in enumerate(self.nodes)}
        relation = {name: place for place, name in enumerate(self.relations)}
        return torch.tensor([(node[head], relation[kind], node[tail]) for head, kind, tail in dict.fromkeys(triples)])


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared`; returns the numbers of nodes, relations and triples.

    Test triples that are observed or trained on as well are counted, if there are any.

    Numbers of the training graph and of the test graph are apart, unless the raw data has only one graph. False answers
    exclude all observed triples and all queries of the same graph.
    """
    source = read(raw, settings.train, settings.test)
    train, test = _numberings(source, settings)
    tables = _tables(source, train, test)
    for name, triples in tables.items():
        write_parquet(prepared / f"{name}.parquet", _columns(triples))
    for split in _splits(settings, source, tables, train, test):
        _write_lists(settings, prepared, split, rng)
    _write_names(prepared / "names.parquet", train, test)
    sizes = {
        "train_nodes": len(train.nodes),
        "train_relations": len(train.relations),
        "test_nodes": len(test.nodes),
        "test_relations": len(test.relations),
    }
    write_json(prepared / "sizes.json", sizes)
    given_away = len(set(source.test) & {*source.test_observed, *(source.train if source.same_graph else ())})
    sizes |= {"known_test_triples": given_away} if given_away else {}
    return {name: float(size) for name, size in (sizes | {f"{name}_triples": len(triples) for name, triples in tables.items()}).items()}


def _tables(source: Source, train: Numbering, test: Numbering) -> dict[str, Tensor]:
    """Name -> (triples, 3): what is observed of each graph, and what is asked about it."""
    return {
        "train_graph": train.number(source.observed),
        "train": train.number(source.train),
        "valid": train.number(source.valid),
        "test_graph": test.number(source.test_observed),
        "test": test.number(source.test),
    }


def _numberings(source: Source, settings: PrepareSettings) -> tuple[Numbering, Numbering]:
    """The numbers of the names in the training graph, and in the test graph."""
    test_parts = [source.test_observed, source.test]
    if source.same_graph or settings.candidates == "authors":
        test_parts += [source.observed, source.train, source.valid]
    test = Numbering.of(*test_parts)
    train = test if source.same_graph else Numbering.of(source.observed, source.train, source.valid)
    if set(test.relations) <= set(train.relations):  # only the nodes are new: a relation that the test graph lacks still is one
        test = replace(test, relations=train.relations)
    return train, test


@dataclass(frozen=True)
class _Split:
    """The queries of a split, the triples known to be true, and the nodes that may be false answers."""

    name: str
    triples: Tensor
    known: Sequence[Tensor]
    pool: Tensor
    relations: int


def _splits(
    settings: PrepareSettings, source: Source, tables: Mapping[str, Tensor], train: Numbering, test: Numbering
) -> tuple[_Split, _Split]:
    """Validation is asked on the training graph, test on the test graph."""
    all_known = list(tables.values())
    train_known, test_known = (all_known, all_known) if source.same_graph else (all_known[:3], all_known[3:])
    every = settings.candidates == "authors"
    pool = torch.arange(len(test.nodes)) if every else _pool(tables["test_graph"])
    return (
        _Split("valid", tables["valid"], train_known, _pool(tables["train_graph"]), len(train.relations)),
        _Split("test", tables["test"], test_known, pool, len(test.relations)),
    )


def _write_lists(settings: PrepareSettings, prepared: Path, split: _Split, rng: torch.Generator) -> None:
    known, triples = torch.cat(tuple(split.known)), split.triples
    known = torch.cat((known, inverse(known, split.relations)))
    if settings.directions == "both":
        triples = torch.cat((triples, inverse(triples, split.relations)))
    try:
        for task, lists in candidate_lists(triples, known, split.pool, split.relations, settings.negatives, rng):
            write_parquet(prepared / f"{split.name}_{task}.parquet", _columns(lists))
    except UserError as error:
        raise UserError(f"{split.name} queries: {error}") from None


def _pool(observed: Tensor) -> Tensor:
    return observed[:, ::2].unique()


def _columns(triples: Tensor) -> dict[str, Tensor]:
    """(..., 3) as int32 columns; lists of candidates become columns of lists."""
    return dict(zip(("head", "relation", "tail"), triples.int().unbind(-1), strict=True))


def _write_names(path: Path, train: Numbering, test: Numbering) -> None:
    """For people who want to read an answer; no model sees it."""
    rows = [
        (graph, kind, place, name)
        for graph, numbering in (("train", train), ("test", test))
        for kind, names in (("node", numbering.nodes), ("relation", numbering.relations))
        for place, name in enumerate(names)
    ]
    write_parquet(path, dict(zip(("graph", "kind", "number", "name"), map(list, zip(*rows, strict=True)), strict=True)))
