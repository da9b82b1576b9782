"""A raw graph into a table of its nodes, with their splits, and one of its edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.graphs._shared.dealt import check_shares, dealt
from stillhouse.workloads.graphs._shared.nodes import SPLITS, Array, arcs
from stillhouse.workloads.graphs._shared.one_graph.read import read
from stillhouse.workloads.graphs.static_nodes.positions import Positions, positions
from stillhouse.workloads.graphs.static_nodes.split import check, unseen


class PrepareSettings(Settings):
    """What the edges mean, which nodes are in which split, and what is seen of the graph before the test."""

    undirected: bool = True
    """Whether each edge holds in both directions; it may then be given once or twice."""
    split: int = Field(0, ge=0)
    """Which of the splits that the raw data have, counted from 0."""
    draw: bool = False
    """Draws the splits by the seed also where the raw data have some."""
    train: float = Field(0.5, gt=0)
    """Of each class a share below 1, or so many nodes."""
    valid: float = Field(0.25, gt=0)
    """The same; what remains is tested on."""
    inductive: bool = False
    """Whether `unseen_share` of the test nodes, drawn by the seed, are missing from the graph until the test, with all their edges."""
    unseen_share: float = Field(0.2, gt=0, le=1)
    unit_rows: bool = False
    """Divides the features of a node by the sum of their absolute values."""

    positions: Positions = Field(default_factory=lambda: Positions.model_validate({}))
    """What families may see of where a node lies, beside its features."""

    @model_validator(mode="after")
    def _shares(self) -> PrepareSettings:
        check_shares(self.train, self.valid, "nodes")
        if self.draw and self.split:
            raise ValueError(f"wanted one of draw and split, which names one that the raw data have - got draw and {self.split}")
        return self


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with nodes.parquet, edges.parquet and facts.json; returns how many nodes and edges there are, by splits.

    An edge is a row for each direction in which it holds.
    """
    graph = read(raw, settings.split)
    if graph.split is None and settings.split:
        raise UserError(f"{raw} - wanted the split {settings.split} (`prepare.split`) - the raw data have none: leave `split` out")
    drawn = settings.draw or graph.split is None
    split = dealt(graph.label, settings.train, settings.valid, rng) if drawn or graph.split is None else graph.split
    check(graph, split, raw)
    hidden = unseen(split, settings.unseen_share, rng) if settings.inductive else np.zeros(len(split), dtype=bool)
    features = _unit(graph.features) if settings.unit_rows else graph.features
    columns = {"label": graph.label.astype(np.int32), "split": split.astype(np.int8), "unseen": hidden.astype(np.int8)}
    edges = arcs(graph.source, graph.target, len(graph.features), undirected=settings.undirected)
    if settings.positions.size:
        columns["position"] = positions(settings.positions, edges, hidden, undirected=settings.undirected, rng=rng)
    write_parquet(prepared / "nodes.parquet", {"features": features, **columns})
    write_parquet(prepared / "edges.parquet", {"source": edges[0], "target": edges[1]})
    facts = {"features": features.shape[1], "positions": settings.positions.size, "undirected": settings.undirected}
    write_json(prepared / "facts.json", {"names": [str(name) for name in graph.names], **facts})
    counts = {f"{name}_nodes": float((split == place).sum()) for place, name in enumerate(SPLITS)}
    size = {"nodes": float(len(split)), "edges": float(edges.shape[1]), "classes": float(len(graph.names))}
    return size | counts | {"unseen_nodes": float(hidden.sum())}


def _unit(features: Array) -> Array:
    total = np.abs(features).sum(1, keepdims=True)
    return features / np.where(total > 0, total, 1)
