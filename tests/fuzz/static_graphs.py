"""Readers of whole graphs; what is read is prepared too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from tests.fuzz.reader import Reader, table
from tests.workloads.graphs.static_graphs.raws import EDGES, FOLDS, GRAPHS, MOLECULES, NODES, RULES, TU


def _prepared(*, values: bool) -> Callable[[Path], object]:
    def prepared(raw: Path) -> object:
        folder = raw.parent / "prepared"
        folder.mkdir()
        settings = WORKLOAD.prepare_settings(values=values, degree=True)
        return WORKLOAD.prepare(settings, raw, folder, torch.Generator().manual_seed(0))

    return prepared


_TABLES = {"t/graphs.parquet": table(GRAPHS), "t/nodes.parquet": table(NODES), "t/edges.parquet": table(EDGES)}
_LISTS = {**_TABLES, "t/graphs.parquet": table([{"label": [float(row), -1.0]} for row in range(len(GRAPHS))])}
_TEXTS = {f"t/PAIRS_{name}.txt": text.encode() for name, text in TU.items()}
_FOLDS = {f"t/10fold_idx/{name}.txt": text.encode() for name, text in FOLDS.items()}

READERS: dict[str, Reader] = {
    "static-graphs-tables": Reader(_TABLES, _prepared(values=False)),
    "static-graphs-values": Reader(_LISTS, _prepared(values=True)),
    "static-graphs-texts": Reader({**_TEXTS, **_FOLDS}, _prepared(values=False)),
    "static-graphs-attributes": Reader(_TEXTS, _prepared(values=True)),
    "static-graphs-molecules": Reader({"m.csv": MOLECULES.encode()}, _prepared(values=True)),
    "static-graphs-generated": Reader({"g.json": json.dumps(RULES).encode()}, _prepared(values=False)),
}
