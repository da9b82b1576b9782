"""Graphs with a class for each node, of tables that hold several: one of them with one of its splits, as the folder of raw data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
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
        return self.written(data, str(split), lambda rows: pc.list_element(rows.column("splits"), split).to_pylist())

    def public(self, data: Path) -> Path:
        """The same with the one published split, the column `split`."""
        places = {name: place for place, name in enumerate(SPLITS)}
        return self.written(data, "public", lambda rows: [places.get(name, -1) for name in rows.column("split").to_pylist()])

    def written(self, data: Path, key: str, split: Callable[[pa.Table], Iterable[int]]) -> Path:
        """The same with splits of one's own, which `key` names: places in SPLITS, or -1, of the rows of nodes."""
        place = WORK / "node_sets" / f"{self.name}-{key}"
        if not (place / "edges.parquet").exists():
            place.mkdir(parents=True, exist_ok=True)
            rows = self._rows(data / self.folder / "nodes.parquet")
            parquet.write_table(self._nodes(rows, split(rows)), place / "nodes.parquet")
            edges = self._rows(data / self.folder / "edges.parquet").select(["source", "target"])
            parquet.write_table(edges, place / "edges.parquet")
        return place

    def _rows(self, path: Path) -> pa.Table:
        return parquet.read_table(path, filters=[("graph", "=", self.name)])

    def _nodes(self, rows: pa.Table, split: Iterable[int]) -> pa.Table:
        columns, values = (rows.column(name).combine_chunks() for name in ("feature_index", "feature_value"))
        dense = np.zeros((rows.num_rows, self.features), dtype=np.float32)
        dense[np.repeat(np.arange(rows.num_rows), columns.value_lengths().to_numpy()), columns.flatten().to_numpy()] = values.flatten()
        features = pa.FixedSizeListArray.from_arrays(pa.array(dense.ravel()), self.features)
        named = [SPLITS[place] if place >= 0 else "none" for place in split]
        return pa.table({"features": features, "label": rows.column("label"), "split": named})


@dataclass(frozen=True)
class Drawn:
    """A graph with splits that are drawn: so many training nodes of each class, and of all others so many to choose by and to test on."""

    graph: NodeSet
    train: int
    valid: int
    test: int

    def raw(self, data: Path, split: int) -> Path:
        """As of the graph; the number of a split seeds it."""
        return self.graph.written(data, f"{self.train}-{self.valid}-{self.test}-{split}", lambda rows: self._places(rows, split))

    def _places(self, rows: pa.Table, seed: int) -> list[int]:
        label, order = rows.column("label").to_numpy(), np.random.default_rng(seed).permutation(rows.num_rows)
        chosen = np.concatenate([order[label[order] == each][: self.train] for each in np.unique(label)])
        others = order[~np.isin(order, chosen)]
        found = np.full(len(label), -1)
        found[chosen], found[others[: self.valid]], found[others[self.valid :][: self.test]] = 0, 1, 2
        return [int(place) for place in found]


def drawn_by_class(label: np.ndarray[tuple[int], np.dtype[np.int64]], train: int, valid: int, test: int, seed: int) -> list[int]:
    """Places in SPLITS, or -1, as published studies draw them (SGFormer, arXiv 2306.10759; 2406.08993) with PyTorch's generator.

    The nodes of each class are put in random order, class after class: the first ones are trained on. What remains is put in random
    order once more, for validation and for the test. The seed of 2406.08993 for Cora is 123.
    """
    rng = torch.Generator().manual_seed(seed)
    classes = [torch.from_numpy(np.flatnonzero(label == each)) for each in np.unique(label)]
    orders = [nodes[torch.randperm(len(nodes), generator=rng)] for nodes in classes]
    others = torch.cat([order[train:] for order in orders])
    others = others[torch.randperm(len(others), generator=rng)]
    found = torch.full((len(label),), -1)
    found[torch.cat([order[:train] for order in orders])] = 0
    found[others[:valid]], found[others[valid : valid + test]] = 1, 2
    return [int(place) for place in found]
