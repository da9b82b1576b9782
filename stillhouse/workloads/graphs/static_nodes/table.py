"""Nodes as a table: to each row, the number of a node, its class and the probabilities of all classes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.files import read_parquet, write_parquet
from stillhouse.workloads.graphs.static_nodes.graph import NONE
from stillhouse.workloads.graphs.static_nodes.sample import Batch


def keep(prepared: Path, context: Path) -> None:
    """The whole graph without its labels, and the names of the classes."""
    write_parquet(context / "nodes.parquet", {"features": read_parquet(prepared / "nodes.parquet")["features"]})
    for name in ("edges.parquet", "facts.json"):
        shutil.copy(prepared / name, context)


def example(context: Path) -> pa.Table:
    """The first two nodes."""
    return pa.table({"node": [0, 1]}, schema=pa.schema([pa.field("node", pa.int64(), nullable=False)]))


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Nodes of the whole graph, each with all its edges."""
    names: list[str] = read_json(context / "facts.json")["names"]
    features, asked = _features(context), torch.tensor(table.column("node").to_pylist(), dtype=torch.int64)
    wrong = ((asked < 0) | (asked >= len(features))).nonzero()[:, 0].tolist()
    refuse_all(len(wrong), lambda at: f"row {wrong[at]} - wanted a node from 0 to {len(features) - 1} - got {int(asked[wrong[at]])}")

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        probabilities = output.prediction.double().softmax(-1)
        best, place = probabilities.max(-1)
        return {"class": [names[index] for index in place.tolist()], "probability": best, "probabilities": probabilities}

    batch = Batch(features, _edges(context, len(features)), asked, torch.full_like(asked, NONE), torch.ones_like(asked, dtype=torch.bool))
    return Question([batch], columns)


def _features(context: Path) -> torch.Tensor:
    found = read_parquet(context / "nodes.parquet").get("features")
    if not isinstance(found, torch.Tensor) or found.dim() != 2:
        raise UserError(f"{context / 'nodes.parquet'} - wanted the column `features`, lists of numbers of one length - there is none")
    return found


def _edges(context: Path, nodes: int) -> torch.Tensor:
    columns = read_parquet(context / "edges.parquet")
    ends = [columns.get(name) for name in ("source", "target")]
    if any(not isinstance(end, torch.Tensor) or end.dtype != torch.int64 or ((end < 0) | (end >= nodes)).any() for end in ends):
        raise UserError(f"{context / 'edges.parquet'} - wanted source and target, numbers of the {nodes} nodes - got something else")
    return torch.stack([end for end in ends if isinstance(end, torch.Tensor)])


TABLE = Table("static_nodes", keep, example, ask)
