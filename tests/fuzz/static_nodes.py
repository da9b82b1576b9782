"""Readers of static graphs; what is read is prepared too."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from tests.fuzz.reader import Reader, table
from tests.workloads.graphs.static_nodes.raws import BLOCKS, EDGES, NODES, npz


def _prepared(raw: Path) -> object:
    folder = raw.parent / "prepared"
    folder.mkdir()
    settings = WORKLOAD.prepare_settings(inductive=True, unit_rows=True)
    return WORKLOAD.prepare(settings, raw, folder, torch.Generator().manual_seed(0))


_COLUMNS = [{"f0": row["features"][0], "f1": 1, "label": number % 2} for number, row in enumerate(NODES)]

READERS: dict[str, Reader] = {
    "static-nodes-tables": Reader({"t/nodes.parquet": table(NODES), "t/edges.parquet": table(EDGES)}, _prepared),
    "static-nodes-columns": Reader({"t/nodes.parquet": table(_COLUMNS), "t/edges.parquet": table(EDGES)}, _prepared),
    "static-nodes-arrays": Reader({"g.npz": npz()}, _prepared),
    "static-nodes-generated": Reader({"g.json": json.dumps(BLOCKS).encode()}, _prepared),
}
