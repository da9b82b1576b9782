"""Triples as a table: to each asked one its score. The observed graph is the training graph, or the rows that say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.files import read_parquet, write_parquet
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph

ENDS = ("head", "relation", "tail")
SCHEMA = pa.schema([*(pa.field(name, pa.string(), nullable=False) for name in ENDS), pa.field("observed", pa.bool_(), nullable=True)])
"""Rows that are `observed` are the graph in place of the one that the model carries, and are not answered."""


def keep(prepared: Path, context: Path) -> None:
    """The graph that training observed, and the names of its nodes and relations."""
    shutil.copy(prepared / "train_graph.parquet", context / "graph.parquet")
    columns: dict[str, Any] = read_parquet(prepared / "names.parquet")
    rows = [row for row, graph in enumerate(columns["graph"]) if graph == "train"]
    write_parquet(context / "names.parquet", {name: [columns[name][row] for row in rows] for name in ("kind", "name")})


def example(context: Path) -> pa.Table:
    """Two triples of the graph."""
    names, graph = _kept(context)
    triples = zip(graph.head[:2].tolist(), graph.relation[:2].tolist(), graph.tail[:2].tolist(), strict=True)
    rows = [[names["node"][head], names["relation"][relation], names["node"][tail]] for head, relation, tail in triples]
    heads, relations, tails = map(list, zip(*rows, strict=True))
    return pa.table([heads, relations, tails, [False] * len(rows)], schema=SCHEMA)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Names of nodes and relations of the observed graph; answers keep the order of the rows."""
    observed = table.column("observed") if "observed" in table.column_names else pa.chunked_array([[False] * table.num_rows])
    names, graph = _given(table.filter(observed)) if compute.any(observed).as_py() else _kept(context)
    rows = compute.indices_nonzero(compute.invert(observed)).to_pylist()
    if not rows:
        raise UserError("wanted a row that is not observed, to be answered - all are")
    asked = table.select(ENDS).take(rows)
    triples = _numbers(asked, {kind: {name: place for place, name in enumerate(known)} for kind, known in names.items()}, rows)
    parts = iter([asked.slice(first, _size(graph)) for first in range(0, len(rows), _size(graph))])

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        part = next(parts)
        return {**{name: part.column(name).to_pylist() for name in ENDS}, "score": output.prediction[:, 0].double()}

    return Question(_batches(graph, triples), columns)


def _batches(graph: Graph, triples: Tensor) -> Iterator[Batch]:
    for part in triples.split(_size(graph)):
        yield Batch(graph, part[:, None], "mixed")


def _size(graph: Graph) -> int:
    """Triples in a batch: two families hide the pairs of a whole batch, which must leave most of the graph to see."""
    return min(max(graph.nodes**2 // 40, 1), 256)


def _kept(context: Path) -> tuple[dict[str, list[str]], Graph]:
    columns: dict[str, Any] = read_parquet(context / "names.parquet")
    names: dict[str, list[str]] = {"node": [], "relation": []}
    for kind, name in zip(columns["kind"], columns["name"], strict=True):
        names[kind].append(name)
    triples: dict[str, Any] = read_parquet(context / "graph.parquet")
    head, relation, tail = (triples[name].long() for name in ENDS)
    return names, Graph(head, relation, tail, len(names["node"]), len(names["relation"]))


def _given(table: pa.Table) -> tuple[dict[str, list[str]], Graph]:
    """Names are sorted, as they were for training; a triple counts once."""
    triples = list(dict.fromkeys(zip(*(table.column(name).to_pylist() for name in ENDS), strict=True)))
    heads, relations, tails = zip(*triples, strict=True)
    names = {"node": sorted({*heads, *tails}), "relation": sorted({*relations})}
    node, relation = ({name: place for place, name in enumerate(names[kind])} for kind in ("node", "relation"))
    numbers = torch.tensor([(node[first], relation[middle], node[last]) for first, middle, last in triples])
    head, kind, tail = (part.contiguous() for part in numbers.unbind(1))
    return names, Graph(head, kind, tail, len(node), len(relation))


def _numbers(table: pa.Table, known: Mapping[str, Mapping[str, int]], rows: list[int]) -> Tensor:
    """(triples, 3)"""
    columns = []
    for name in ENDS:
        kind = "relation" if name == "relation" else "node"
        places = [known[kind].get(value) for value in table.column(name).to_pylist()]
        if None in places:
            first = places.index(None)
            got = table.column(name)[first].as_py()
            raise UserError(f"row {rows[first]} - wanted a {name} among the {len(known[kind])} {kind}s of the observed graph - got {got!r}")
        columns.append(places)
    return torch.tensor(columns).T.contiguous()


TABLE = Table("knowledge_graph", keep, example, ask)
