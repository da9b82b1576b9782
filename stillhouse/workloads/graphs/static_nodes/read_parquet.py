"""A graph as Parquet: nodes.parquet with a row for each node, and edges.parquet with `source` and `target`, numbers of its rows from 0.

The features are a column `features` of lists of one length, or columns f0, f1, ...; `label` is a number or a name, or null; and the splits,
if any, are the column `split`, or split_0, split_1, ... where there are several: train, valid (or val), test, none or null.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.parquets import read_parquet as table
from stillhouse.workloads.graphs.static_nodes.graph import CELLS, NONE, SPLITS, Array, Graph, checked, ends

_SPLITS = {name: place for place, name in enumerate(SPLITS)} | {"val": SPLITS.index("valid"), "none": NONE, None: NONE}


def read(folder: Path, which: int) -> Graph:
    """The graph of a folder. Raises UserError, naming file and row, at what is wrong."""
    nodes, edges = folder / "nodes.parquet", folder / "edges.parquet"
    found = table(nodes)
    _wanted(found, ("label",), nodes)
    features = checked(_features(found, nodes), f"{nodes}")
    label, names = _labels(found.column("label"), nodes)
    return Graph(features, label, names, *_ends(edges, len(features)), _split(found, which, nodes))


def _wanted(found: pa.Table, names: tuple[str, ...], path: Path) -> None:
    if missing := [name for name in names if name not in found.column_names]:
        raise UserError(f"{path} - wanted the column {missing[0]!r} - got {found.column_names}")


def _features(found: pa.Table, path: Path) -> Array:
    if "features" in found.column_names:
        return _lists(found.column("features"), path)
    names = [f"f{number}" for number in range(len(found.column_names)) if f"f{number}" in found.column_names]
    _wanted(found, ("f0",), path)
    if names[-1] != f"f{len(names) - 1}":
        raise UserError(f"{path} - wanted columns f0, f1, ... without a gap - got {names}")
    return np.stack([_numbers(found.column(name), f"{path}, column {name!r}") for name in names], 1)


def _lists(column: pa.ChunkedArray, path: Path) -> Array:
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type) and not pa.types.is_fixed_size_list(column.type):
        raise UserError(f"{path}, column 'features' - wanted lists of numbers - got {column.type}")
    lengths = np.array([len(row) if row.is_valid else NONE for row in column], dtype=np.int64)
    first = int(lengths[0]) if len(lengths) else 0
    wrong = np.flatnonzero((lengths != first) | (lengths < 1))
    wanted = f"wanted {max(first, 1)} features, as in the first row"
    refuse_all(len(wrong), lambda at: f"{path}, row {wrong[at]} - {wanted} - got {max(lengths[wrong[at]], 0)}")
    if len(lengths) * first > CELLS:
        raise UserError(f"{path} - wanted at most {CELLS} numbers in all - got {len(lengths) * first}")
    values = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    return _numbers(values, f"{path}, column 'features'").reshape(len(lengths), first)


def _numbers(column: pa.ChunkedArray, place: str) -> Array:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)) or column.null_count:
        raise UserError(f"{place} - wanted a number in each row - got {kind}{' and rows without one' * bool(column.null_count)}")
    return column.to_numpy()


def _labels(column: pa.ChunkedArray, path: Path) -> tuple[Array, tuple[str | int, ...]]:
    if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise UserError(f"{path}, column 'label' - wanted classes as whole numbers or as names - got {column.type}")
    values = column.to_pylist()
    names = tuple(sorted({value for value in values if value is not None}))
    places = {name: place for place, name in enumerate(names)} | {None: NONE}
    return np.array([places[value] for value in values], dtype=np.int64), names


def _split(found: pa.Table, which: int, path: Path) -> Array | None:
    known = [name for name in found.column_names if name == "split" or name.startswith("split_")]
    if not known:
        return None
    name = "split" if which == 0 and "split" in known else f"split_{which}"
    _wanted(found, (name,), path)
    values = found.column(name).to_pylist()
    if (kind := found.schema.field(name).type) not in (pa.string(), pa.large_string(), pa.null()):
        raise UserError(f"{path}, column {name!r} - wanted names of splits - got {kind}")
    wrong = [row for row, value in enumerate(values) if value not in _SPLITS]
    refuse_all(
        len(wrong), lambda at: f"{path}, row {wrong[at]} - wanted train, valid, test or none in {name!r} - got {values[wrong[at]]!r}"
    )
    return np.array([_SPLITS[value] for value in values], dtype=np.int64)


def _ends(path: Path, nodes: int) -> tuple[Array, Array]:
    found = table(path)
    _wanted(found, ("source", "target"), path)
    source, target = (_numbers(found.column(name), f"{path}, column {name!r}") for name in ("source", "target"))
    return ends(source, target, nodes, f"{path}")
