"""The rows of a table as what an exported file is asked, where Python makes questions ready for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import registry
from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.runtimes import leaves, onnx
from stillhouse.runtimes.asking import asking
from stillhouse.training import checkpoint, table

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa


def inputs(model: Path, rows: pa.Table) -> Iterator[dict[str, numpy.ndarray]]:
    """Of a student's folder and a table as `predict` takes it: batch by batch arrays by the names in program.json, and others beside them.

    Raises UserError if the student reads no tables, or at what is wrong with the rows.
    """
    sums.check(model)
    workload = registry.workload(table.workload_name(model))
    part, context, network = workload.table, model / table.CONTEXT, checkpoint.read_model(workload, model)
    if part is None:
        raise UserError(f"{model} - wanted a workload that reads tables - got one that reads none")
    for batch in part.ask(context, table.conform(rows, part.example(context).schema)).batches:
        yield {name: onnx.array(value) for name, value in leaves.of(asking(network, batch))}
