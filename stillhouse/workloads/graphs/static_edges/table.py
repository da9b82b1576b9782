"""Pairs of nodes as a table: to each row, two numbers of nodes, how likely an edge joins them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.graphs.static_edges.sample import Batch, read

_ENDS = ("source", "target")


def keep(prepared: Path, context: Path) -> None:
    """The nodes and the edges of training."""
    for name in ("nodes.parquet", "edges.parquet", "facts.json"):
        shutil.copy(prepared / name, context)


def example(context: Path) -> pa.Table:
    """Two pairs of the first three nodes."""
    schema = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in _ENDS])
    return pa.table({"source": [0, 0], "target": [1, 2]}, schema=schema)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """All rows at once, on the graph of training without the edges of these pairs. Raises UserError that names rows with other nodes."""
    seen = read(context)
    source, target = (table.column(name).to_numpy() for name in _ENDS)
    nodes = len(seen.features)
    wrong = np.flatnonzero((source < 0) | (source >= nodes) | (target < 0) | (target >= nodes) | (source == target))
    wanted = f"wanted two nodes from 0 to {nodes - 1}"
    refuse_all(len(wrong), lambda at: f"row {wrong[at]} - {wanted} - got {source[wrong[at]]} and {target[wrong[at]]}")

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        score = output.prediction[:, 0].double()
        return {"score": score, "probability": score.sigmoid()}

    return Question([seen.batch(torch.from_numpy(source.copy()), torch.from_numpy(target.copy())[:, None])], columns)


TABLE = Table("static_edges", keep, example, ask)
