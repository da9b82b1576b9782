"""Graphs with a class for each node, of tables that hold several: one of them with one of its splits, as the folder of raw data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from benchmarks._cells import WORK

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class NodeSet:
    """A graph by its name in the tables of a folder: `label`, `splits` (lists of places in SPLITS, or -1), and features that are not 0."""

    name: str
    folder: str
    features: int

    def raw(self, data: Path, split: int) -> Path:
        """The folder with nodes.parquet and edges.parquet, written where it is not there yet."""
        place = WORK / "node_sets" / f"{self.name}-{split}"
        if not (place / "edges.parquet").exists():
            place.mkdir(parents=True, exist_ok=True)
            parquet.write_table(self._nodes(self._rows(data / self.folder / "nodes.parquet"), split), place / "nodes.parquet")
            edges = self._rows(data / self.folder / "edges.parquet").select(["source", "target"])
            parquet.write_table(edges, place / "edges.parquet")
        return place

    def _rows(self, path: Path) -> pa.Table:
        return parquet.read_table(path, filters=[("graph", "=", self.name)])

    def _nodes(self, rows: pa.Table, split: int) -> pa.Table:
        columns, values = (rows.column(name).combine_chunks() for name in ("feature_index", "feature_value"))
        dense = np.zeros((rows.num_rows, self.features), dtype=np.float32)
        dense[np.repeat(np.arange(rows.num_rows), columns.value_lengths().to_numpy()), columns.flatten().to_numpy()] = values.flatten()
        features = pa.FixedSizeListArray.from_arrays(pa.array(dense.ravel()), self.features)
        places = pc.list_element(rows.column("splits"), split).to_pylist()
        named = [SPLITS[place] if place >= 0 else "none" for place in places]
        return pa.table({"features": features, "label": rows.column("label"), "split": named})
