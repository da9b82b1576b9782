"""Small sets of graphs in the forms that people have, and prepared ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from tests.fuzz.reader import table

RULES = {"generator": "rules", "graphs": 60, "classes": 3, "kinds": 4, "nodes": [5, 8], "degree": 3, "seed": 1}
COUNT = 12
GRAPHS: list[dict[str, Any]] = [{"label": "ab"[row % 2], "fold": row // 4} for row in range(COUNT)]
"""Pairs of nodes; in those of b both nodes are of one kind."""
NODES: list[dict[str, Any]] = [
    {"graph": node // 2, "features": [float(node), 1.0], "kind": "C" if node // 2 % 2 or node % 2 else "O"} for node in range(2 * COUNT)
]
EDGES = [{"source": 2 * row, "target": 2 * row + 1} for row in range(COUNT)]
TU = {
    "A": "".join(f"{2 * row + 1}, {2 * row + 2}\n{2 * row + 2}, {2 * row + 1}\n" for row in range(COUNT)),
    "graph_indicator": "".join(f"{node // 2 + 1}\n" for node in range(2 * COUNT)),
    "graph_labels": "".join(f"{1 if row % 2 else -1}\n" for row in range(COUNT)),
    "graph_attributes": "".join(f"{row}, {-row}\n" for row in range(COUNT)),
    "node_labels": "".join(f"{8 - 2 * (node // 2 % 2 or node % 2)}\n" for node in range(2 * COUNT)),
    "node_attributes": "".join(f"{node}.0, 1e0\n" for node in range(2 * COUNT)),
}
"""The same, with oxygen as 8 and carbon as 6."""
FOLDS = {f"test_idx-{place + 1}": "".join(f"{row}\n" for row in range(COUNT) if row // 4 == place) for place in range(3)}


SMILES = (
    "CO",
    "OCC",
    "c1ccccc1[N+](=O)[O-]",
    "CC(=O)O",
    "C#N",
    "ClC(Cl)Cl",
    "c1ccncc1",
    "N[C@@H](C)C(=O)O",
    "C1CC1",
    "[Na+].[Cl-]",
    "O",
    "CCCC",
)
MOLECULES = "smiles,label\n" + "".join(f"{smiles},{row}.5\n" for row, smiles in enumerate(SMILES))


def parquet(folder: Path, **tables: list[dict[str, Any]]) -> Path:
    """A folder of tables, some of them given."""
    folder.mkdir(parents=True)
    for name, rows in ({"graphs": GRAPHS, "nodes": NODES, "edges": EDGES} | tables).items():
        (folder / f"{name}.parquet").write_bytes(table(rows))
    return folder


def tu(folder: Path, *, folds: bool = True, **texts: str | None) -> Path:
    """A folder of text files, some of them given; None leaves one out."""
    (folder / "10fold_idx").mkdir(parents=True)
    for name, text in (TU | texts).items():
        if text is not None:
            (folder / f"PAIRS_{name}.txt").write_text(text)
    for name, text in FOLDS.items():
        (folder / "10fold_idx" / f"{name}.txt").write_text(text)
    if not folds:
        (folder / "10fold_idx").rename(folder / "others")
    return folder


def rules(folder: Path, **changes: Any) -> Path:
    """A file that asks for generated graphs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.json").write_text(json.dumps(RULES | changes))
    return folder / "rules.json"


def prepared(raw: Path, folder: Path, **settings: Any) -> Metrics:
    """What `prepare` makes of raw data."""
    folder.mkdir(parents=True)
    return WORKLOAD.prepare(WORKLOAD.prepare_settings(**settings), raw, folder, torch.Generator().manual_seed(0))
