"""Small graphs in the forms that people have, and prepared ones."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillhouse.contracts.data import Metrics
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from tests.fuzz.reader import table

BLOCKS = {"generator": "blocks", "nodes": 60, "classes": 3, "features": 5, "degree": 4, "seed": 1}
NODES: list[dict[str, Any]] = [
    {"features": [float(node), 1.0], "label": "ab"[node % 2], "split": ["train", "train", "valid", "test"][node // 2]} for node in range(8)
]
EDGES = [{"source": node, "target": (node + 1) % 8} for node in range(8)]
ARRAYS: dict[str, Any] = {
    "x": np.array([[node, 1] for node in range(8)], dtype=np.float32),
    "y": np.array([0, 1] * 4),
    "edge_index": np.array([[*range(8)], [*range(1, 8), 0]]),
    "train_mask": np.arange(8) < 4,
    "val_mask": np.arange(8) // 2 == 2,
    "test_mask": np.arange(8) > 5,
}


def parquet(folder: Path, nodes: list[dict[str, Any]] = NODES, edges: list[dict[str, Any]] = EDGES) -> Path:
    """A folder of tables."""
    folder.mkdir(parents=True)
    (folder / "nodes.parquet").write_bytes(table(nodes))
    (folder / "edges.parquet").write_bytes(table(edges))
    return folder


def npz(**arrays: Any) -> bytes:
    """The bytes of arrays; None leaves one out."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **{name: array for name, array in (ARRAYS | arrays).items() if array is not None})
    return sink.getvalue()


def blocks(folder: Path, **changes: Any) -> Path:
    """A file that asks for a generated graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blocks.json").write_text(json.dumps(BLOCKS | changes))
    return folder / "blocks.json"


def prepared(raw: Path, folder: Path, **settings: Any) -> Metrics:
    """What `prepare` makes of raw data."""
    folder.mkdir(parents=True)
    return WORKLOAD.prepare(WORKLOAD.prepare_settings(**settings), raw, folder, torch.Generator().manual_seed(0))
