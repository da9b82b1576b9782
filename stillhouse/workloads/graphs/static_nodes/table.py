"""Nodes as a table: to each row, the number of a node, its class and the probabilities of all classes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.files import read_parquet, write_parquet
from stillhouse.workloads.graphs._shared.nodes import NONE
from stillhouse.workloads.graphs.static_nodes.joined import Kept, joined
from stillhouse.workloads.graphs.static_nodes.sample import Batch

_COLUMNS = (("node", pa.int64()), ("features", pa.list_(pa.float32())), ("neighbours", pa.list_(pa.int64())))


def keep(prepared: Path, context: Path) -> None:
    """The whole graph without its labels, and the names of the classes."""
    nodes = read_parquet(prepared / "nodes.parquet")
    write_parquet(context / "nodes.parquet", {name: nodes[name] for name in ("features", "position") if name in nodes})
    for name in ("edges.parquet", "facts.json"):
        shutil.copy(prepared / name, context)


def example(context: Path) -> pa.Table:
    """The first two nodes; what a row of a new node has besides may be left out for those of the graph."""
    schema = pa.schema([pa.field(name, kind, nullable=name != "node") for name, kind in _COLUMNS])
    return pa.table({"node": [0, 1], "features": [[], []], "neighbours": [[], []]}, schema=schema)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Nodes of the whole graph, each with all its edges, and new ones, which are joined to it for all rows."""
    names: list[str] = read_json(context / "facts.json")["names"]
    features, edges, asked = joined(_kept(context), table)

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        probabilities = output.prediction.double().softmax(-1)
        best, place = probabilities.max(-1)
        return {"class": [names[index] for index in place.tolist()], "probability": best, "probabilities": probabilities}

    batch = Batch(features, edges, asked, torch.full_like(asked, NONE), torch.ones_like(asked, dtype=torch.bool))
    return Question([batch], columns)


def _kept(context: Path) -> Kept:
    facts, found = read_json(context / "facts.json"), read_parquet(context / "nodes.parquet")
    parts = [found[name] for name in ("features", "position") if name in found]
    if "features" not in found or not all(isinstance(part, torch.Tensor) and part.dim() == 2 for part in parts):
        raise UserError(f"{context / 'nodes.parquet'} - wanted the column `features`, lists of numbers of one length - there is none")
    features = torch.cat([part for part in parts if isinstance(part, torch.Tensor)], 1)
    return Kept(features, int(facts["features"]), _edges(context, len(features)), bool(facts.get("undirected", True)))


def _edges(context: Path, nodes: int) -> torch.Tensor:
    columns = read_parquet(context / "edges.parquet")
    ends = [columns.get(name) for name in ("source", "target")]
    if any(not isinstance(end, torch.Tensor) or end.dtype != torch.int64 or ((end < 0) | (end >= nodes)).any() for end in ends):
        raise UserError(f"{context / 'edges.parquet'} - wanted source and target, numbers of the {nodes} nodes - got something else")
    return torch.stack([end for end in ends if isinstance(end, torch.Tensor)])


TABLE = Table("static_nodes", keep, example, ask)
