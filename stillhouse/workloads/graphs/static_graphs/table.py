"""Graphs as a table: to each row its nodes and edges, and its class with the probabilities of all classes, or its values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.rows import in_order
from stillhouse.workloads.graphs.static_graphs.asked import arcs_of, features_of, kinds_of, sizes_of
from stillhouse.workloads.graphs.static_graphs.described import Described
from stillhouse.workloads.graphs.static_graphs.molecules import COLUMN, graphs_of
from stillhouse.workloads.graphs.static_graphs.sample import Batch, Prepared, scale

_BATCH = 256
"""Graphs that a model is asked about at once."""
_PAIR = [[0], [1]]


def keep(prepared: Path, context: Path) -> None:
    """How nodes are described, the names of the classes or the scale of the values, and no graph."""
    write_json(context / "facts.json", read_json(prepared / "facts.json"))


def example(context: Path) -> pa.Table:
    """Two graphs: two nodes that are joined, and a single one; or methanol and water."""
    if read_json(context / "facts.json").get("molecules"):
        return pa.table({COLUMN: ["CO", "O"]}, schema=pa.schema([pa.field(COLUMN, pa.string(), nullable=False)]))
    seen = _seen(context)
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {}
    if seen.features:
        columns["features"] = (pa.list_(pa.list_(pa.float32())), [[[0.0] * seen.features] * count for count in (2, 1)])
    if seen.kinds is not None:
        kind = seen.kinds[0] if seen.kinds else ""
        columns["kinds"] = (pa.list_(pa.string()), [[kind] * count for count in (2, 1)])
    if not columns:
        columns["nodes"] = (pa.int64(), [2, 1])
    columns |= {name: (pa.list_(pa.int64()), [end, []]) for name, end in zip(("source", "target"), _PAIR, strict=True)}
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, (kind, _) in columns.items()])
    return pa.table({name: values for name, (_, values) in columns.items()}, schema=schema)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Each row is a graph of its own; edges hold as they do in the prepared data."""
    facts, seen = read_json(context / "facts.json"), _seen(context)
    table = graphs_of(table) if facts.get("molecules") else table
    nodes = sizes_of(table)
    edges, counts = arcs_of(table, nodes, undirected=bool(facts["undirected"]))
    features = features_of(table, nodes, seen.features) if seen.features else None
    kinds = kinds_of(table) if seen.kinds is not None else None
    first = nodes.cumsum(0) - nodes
    described = torch.from_numpy(seen.of(features, kinds, edges.numpy(), int(nodes.sum())))
    places = edges - torch.repeat_interleave(first, counts)
    target = torch.zeros(len(nodes), len(facts["mean"])) if "mean" in facts else torch.zeros(len(nodes), dtype=torch.long)
    graphs = Prepared(described, places, nodes, counts, target, scale(facts))
    batches = in_order(len(nodes), _BATCH, graphs.batch)
    return Question(batches.draw(torch.Generator()), lambda output, batch: _columns(facts, output, batch))


def _columns(facts: Mapping[str, Any], output: Output, batch: Batch) -> Mapping[str, Any]:
    """Values in their own units, or the surest class with all probabilities."""
    if output.meaning == "values":
        return {"values": batch.raw(output.prediction)}
    probabilities = output.prediction.double().softmax(-1)
    best, place = probabilities.max(-1)
    return {"class": [facts["names"][index] for index in place.tolist()], "probability": best, "probabilities": probabilities}


def _seen(context: Path) -> Described:
    found = read_json(context / "facts.json")["seen"]
    return Described(found["features"], None if found["kinds"] is None else tuple(found["kinds"]), found["degree"])


TABLE = Table("static_graphs", keep, example, ask)
