"""Molecules as a table, .csv or .parquet: `smiles`, `label` (a number or a name), perhaps splits or a fold as graphs.parquet has them."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute

from stillhouse.contracts.csvs import read_csv
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.raw import content
from stillhouse.workloads.graphs._shared import columns
from stillhouse.workloads.graphs.static_graphs.molecules import COLUMN, molecules
from stillhouse.workloads.graphs.static_graphs.raw import Graphs
from stillhouse.workloads.graphs.static_graphs.read_parquet import splits, targets

ENDINGS = (".csv", ".parquet")


def read(path: Path, which: int, *, values: bool) -> Graphs:
    """The molecules of a file. Raises UserError, naming file and row, at what is wrong."""
    found = _written(path) if path.suffix == ".csv" else read_parquet(path)
    columns.require(found, (COLUMN, "label"), path)
    learnt, split = targets(found, path, values=values), splits(found, which, path)
    made = molecules(_texts(found, path), f"{path}, ")
    graph = np.repeat(np.arange(len(made.atoms)), made.atoms)
    return Graphs(graph, made.features, made.kind, made.bonds[0], made.bonds[1], learnt, split, molecules=True)


def _written(path: Path) -> pa.Table:
    """Labels are numbers if all are written as such, else they are names, character for character: 01 is not 1, and true a word."""
    found = read_csv(path, (COLUMN, "label"), io.BytesIO(content(path)))
    columns.require(found, (COLUMN, "label"), path)
    if not found.num_rows:
        raise UserError(f"{path} - wanted a molecule in each row - there are no rows")
    labels = compute.if_else(compute.equal(found.column("label"), ""), None, found.column("label"))
    if not compute.any(compute.match_substring_regex(labels, r"^-?0\d")).as_py():
        for kind in (pa.int64(), pa.float64()):
            with suppress(pa.ArrowInvalid):
                labels = labels.cast(kind)
                break
    return found.set_column(found.column_names.index("label"), "label", labels)


def _texts(found: pa.Table, path: Path) -> list[str | None]:
    """Raises UserError if the column holds no text, or there is no row."""
    kind = found.schema.field(COLUMN).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or not found.num_rows:
        raise UserError(f"{path}, column {COLUMN!r} - wanted text in each row - got {kind} in {found.num_rows} rows")
    return list(found.column(COLUMN).to_pylist())
