"""Tables in, tables out: a model asked by rows, and what is kept beside its weights so that it can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.parts import Table, Workload
from stillhouse.training.files import table
from stillhouse.training.machine import move

CONTEXT = "context"
"""The folder within a model's folder."""


def keep(workload: Workload[Any], prepared: Path, model: Path) -> None:
    """Puts beside a model's weights whatever it needs to predict for tables; nothing if its workload reads none."""
    if workload.table is None:
        return
    context = model / CONTEXT
    context.mkdir()
    workload.table.keep(prepared, context)
    write_json(context / "workload.json", {"workload": workload.table.workload})


def workload_name(model: Path) -> str:
    """The workload of a model's folder. Raises UserError if the folder does not say."""
    path = model / CONTEXT / "workload.json"
    if not path.exists():
        wanted = "wanted a model that can be asked by a table"
        raise UserError(f"{model} - {wanted} - its workload reads no tables, or did not yet when it was trained")
    return str(read_json(path)["workload"])


def predictions(part: Table[Any], workload: Workload[Any], network: nn.Module, context: Path, rows: pa.Table) -> Iterator[pa.Table]:
    """The predictions for the rows of a table, one table per batch, all of one schema. Raises UserError at what is wrong with the rows."""
    question = part.ask(context, conform(rows, part.example(context).schema))
    device = next(network.parameters()).device
    network.eval()
    for batch in question.batches:
        batch = move(batch, device)
        with torch.no_grad():
            yield _finite(table(question.columns(workload.apply(network, batch), batch)))


def _finite(answers: pa.Table) -> pa.Table:
    """The same. Raises UserError at an answer that is no number: what was asked is too far from anything that was trained on."""
    for field in answers.schema:
        if pa.types.is_floating(field.type) and not np.isfinite(answers.column(field.name).to_numpy()).all():
            raise UserError(f"wanted values of the size of those of training - got some for which {field.name!r} is no finite number")
    return answers


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of the schema with its types, and none else. Raises UserError at one that is missing, of another type or not full."""
    wanted = [_shown(field) for field in schema]
    if missing := [field.name for field in schema if not field.nullable and field.name not in rows.column_names]:
        raise UserError(f"wanted columns {', '.join(wanted)} - there is no {missing[0]!r}, but {shortened(str(rows.column_names), 300)}")
    if not rows.num_rows:
        raise UserError("wanted a row at least - got an empty table")
    return pa.table({field.name: _cast(rows, field) for field in schema if field.name in rows.column_names})


def _cast(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = rows.column(field.name)
    if pa.types.is_binary(field.type) and pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")  # Hugging Face's form of a picture
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise UserError(f"row {row} - wanted a value in column {field.name!r} - there is none")
    if pa.types.is_boolean(column.type) and not pa.types.is_boolean(field.type):
        raise UserError(f"column {field.name!r} - wanted {field.type} - got true and false")
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = shortened(str(error).partition("\n")[0], 200)
        raise UserError(f"column {field.name!r} - wanted {field.type} - got {shortened(str(column.type), 100)} ({reason})") from None


def _shown(field: pa.Field) -> str:
    return f"{field.name} ({field.type}{', may be missing' if field.nullable else ''})"
