"""Loads as a table: to each row the probabilities of all states."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.queue.batch import Batch

ROWS = 1024
"""Loads asked at once."""


def keep(prepared: Path, context: Path) -> None:
    """The unit of loads, and the number of states."""
    shutil.copy(prepared / "facts.json", context)


def example(context: Path) -> pa.Table:
    """The mean training load, and twice that."""
    mean = read_json(context / "facts.json")["mean_load"]
    return pa.table({"load": [mean, 2 * mean]}, schema=pa.schema([pa.field("load", pa.float64(), nullable=False)]))


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Loads in the units of the data."""
    facts = read_json(context / "facts.json")
    load = torch.from_numpy(table.column("load").to_numpy().copy())
    wrong = ~(load.isfinite() & (load > 0))
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise UserError(f"row {row} - wanted a finite load above 0 - got {load[row].item():g}")

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        return {"load": batch.load * facts["mean_load"], "probabilities": output.prediction.double().exp()}

    return Question(_batches(load / facts["mean_load"], facts["states"]), columns)


def _batches(load: Tensor, states: int) -> Iterator[Batch]:
    for part in load.split(ROWS):
        nothing = torch.zeros(len(part), states, dtype=torch.float64)
        yield Batch(part, nothing, nothing.bool(), torch.full_like(part, torch.nan))


TABLE = Table("queue", keep, example, ask)
