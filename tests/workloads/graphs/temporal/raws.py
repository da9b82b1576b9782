"""Random temporal graphs as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.training.files import write_parquet

CHANNELS = ("x", "y")


@dataclass
class Raw:
    """Columns of the files; `edges` has no step where the edges are static."""

    series: dict[str, Tensor]
    edges: dict[str, Tensor]
    labels: dict[str, Tensor] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """As Parquet."""
        write_parquet(folder / "series.parquet", self.series)
        write_parquet(folder / "edges.parquet", self.edges)
        if self.labels:
            write_parquet(folder / "labels.parquet", self.labels)
        return folder

    def settings(self, **others: Any) -> dict[str, Any]:
        """For `prepare`."""
        return {"read": {"labels": "labels.parquet"} if self.labels else {}, **others}


def one_graph(seed: int, nodes: int = 12, steps: int = 30, *, static: bool = False, density: float = 0.2) -> Raw:
    """Values from -0.9 on."""
    return _raw(seed, [(nodes, steps)], static, density)


def several_graphs(seed: int, sizes: Sequence[tuple[int, int]], *, static: bool = False, density: float = 0.3) -> Raw:
    """Nodes and steps of each graph, whose classes are 0, 1, 2, 0, 1, ..."""
    raw = _raw(seed, sizes, static, density)
    graphs = torch.arange(len(sizes))
    first = torch.tensor([sum(nodes for nodes, _ in sizes[:graph]) for graph in graphs])
    raw.series["graph"] = torch.bucketize(raw.series["node"], first, right=True) - 1
    raw.labels = {"graph": graphs, "label": graphs % 3}
    return raw


def _raw(seed: int, sizes: Sequence[tuple[int, int]], static: bool, density: float) -> Raw:
    rng, series, edges, first = torch.Generator().manual_seed(seed), [], [], 0
    for nodes, steps in sizes:
        series.append(torch.cartesian_prod(torch.arange(first, first + nodes), torch.arange(steps)))
        present = torch.rand(1 if static else steps, nodes, nodes, generator=rng) < density
        edges.append(present.nonzero() + torch.tensor([0, first, first]))
        first += nodes
    node, step = torch.cat(series).T.contiguous()
    when, source, target = torch.cat(edges).T
    values = {name: torch.randn(len(node), generator=rng, dtype=torch.float64).exp() - 0.9 for name in CHANNELS}
    columns = {"source": source, "target": target, "weight": 3 * torch.rand(len(when), generator=rng, dtype=torch.float64)}
    return Raw({"node": node, "step": step, **values}, columns if static else {"step": when, **columns})
