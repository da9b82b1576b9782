"""Raw graphs into a table of them, with their splits, one of their nodes and one of their edges."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.graphs._shared.dealt import check_shares
from stillhouse.workloads.graphs._shared.nodes import SPLITS, Array, arcs
from stillhouse.workloads.graphs.static_graphs.described import described
from stillhouse.workloads.graphs.static_graphs.raw import Graphs
from stillhouse.workloads.graphs.static_graphs.read import read
from stillhouse.workloads.graphs.static_graphs.split import check, drawn, with_valid


class PrepareSettings(Settings):
    """What is learnt of graphs, what their edges mean, and which graphs are in which split."""

    values: bool = False
    """Learns numbers of graphs in place of their classes."""
    undirected: bool = True
    """Whether each edge holds in both directions; it may then be given once or twice."""
    degree: bool = False
    """Whether models see how many edges lead to a node, beside what the data say of it."""
    split: int = Field(0, ge=0)
    """Which of the splits or folds that the raw data have, counted from 0."""
    draw: bool = False
    """Draws the splits by the seed also where the raw data have some."""
    train: float = Field(0.8, gt=0)
    """Of each class a share below 1, or so many graphs."""
    valid: float = Field(0.1, gt=0)
    """The same; what remains is tested on. Also of the training graphs of a split without validation graphs."""

    @model_validator(mode="after")
    def _shares(self) -> PrepareSettings:
        check_shares(self.train, self.valid, "graphs")
        if self.draw and self.split:
            raise ValueError(f"wanted one of draw and split, which names one that the raw data have - got draw and {self.split}")
        return self


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with graphs.parquet, nodes.parquet, edges.parquet and facts.json; returns how many there are, by splits.

    Nodes and edges stand graph by graph; an edge is a row for each direction in which it holds, and names nodes by their place in the
    graph. Values are in units of their standard deviation over training graphs, from their mean on.
    """
    graphs = read(raw, settings.split, values=settings.values)
    split = _split(settings, graphs, raw, rng)
    check(graphs.targets, split, raw)
    nodes, trained = len(graphs.graph), split[graphs.graph] == SPLITS.index("train")
    seen = described(graphs.features, graphs.kind, trained, degree=settings.degree, place=f"{raw}")
    edges = arcs(graphs.source, graphs.target, nodes, undirected=settings.undirected)
    counts = np.bincount(graphs.graph, minlength=len(split))
    first = np.cumsum(counts) - counts
    learnt, facts = _learnt(graphs, split)
    columns = {"nodes": counts, "edges": np.bincount(graphs.graph[edges[1]], minlength=len(split)), "split": split.astype(np.int8)}
    write_parquet(prepared / "graphs.parquet", {**learnt, **columns})
    write_parquet(prepared / "nodes.parquet", {"features": seen.of(graphs.features, graphs.kind, edges, nodes)})
    places = edges - first[graphs.graph[edges]]
    write_parquet(prepared / "edges.parquet", {"source": places[0], "target": places[1]})
    if graphs.molecules:
        facts["molecules"] = True
    write_json(prepared / "facts.json", {**facts, "seen": asdict(seen), "width": seen.width, "undirected": settings.undirected})
    size = {"graphs": float(len(split)), "nodes": float(nodes), "edges": float(edges.shape[1]), "features": float(seen.width)}
    return size | {f"{name}_graphs": float((split == place).sum()) for place, name in enumerate(SPLITS)}


def _split(settings: PrepareSettings, graphs: Graphs, raw: Path, rng: torch.Generator) -> Array:
    label = graphs.targets.label
    if graphs.split is None and settings.split:
        raise UserError(f"{raw} - wanted the split {settings.split} (`prepare.split`) - the raw data have none: leave `split` out")
    if settings.draw or graphs.split is None:
        return drawn(label, settings.train, settings.valid, rng)
    return with_valid(graphs.split, label, settings.valid, rng)


def _learnt(graphs: Graphs, split: Array) -> tuple[dict[str, Array], dict[str, Any]]:
    """The columns of targets, and what must be known of them."""
    values = graphs.targets.values
    if values is None:
        return {"label": graphs.targets.label}, {"names": [str(name) for name in graphs.targets.names]}
    known = values[split == SPLITS.index("train")].astype(np.float64)
    mean, deviation = known.mean(0), known.std(0)
    deviation = np.where(deviation > 0, deviation, 1)
    return {"value": ((values - mean) / deviation).astype(np.float32)}, {"mean": mean.tolist(), "deviation": deviation.tolist()}
