"""Graph transformers: each node attends to all nodes of its graph, beside what its edges tell (GPS, arXiv 2205.12454)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared import installed
from stillhouse.workloads.graphs._shared.gps import Attending, Gps
from stillhouse.workloads.graphs.static_graphs.geometric import GeometricSettings, example, meaning, outputs


class GpsSettings(GeometricSettings, Attending):
    """The sizes, the heads, and the layers that see edges."""

    family: Literal["gps"] = "gps"


class Pooled(nn.Module):
    """A network of nodes `body`, its answers summed up graph by graph, and the linear layer `head`."""

    def __init__(self, settings: GpsSettings, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body, self.head = Gps(settings, inputs), nn.Linear(settings.hidden, outputs)
        self._pool = installed.pool(settings.pool)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, graphs: int) -> Tensor:
        """(nodes, features), (2, edges) and the graph of each node, rising, to (graphs, outputs)."""
        found: Tensor = self.head(self._pool(self.body(x, edge_index, batch), batch, graphs))
        return found


def gps(settings: GpsSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and the graph of each node to classes or values (graphs, outputs)."""

    def make() -> nn.Module:
        return Pooled(settings, sizes["features"], outputs(sizes))

    recipe = settings.model_dump_json(exclude={"features"})
    found = foreign.network(recipe, make, foreign.AsOutput(meaning(sizes)), example(sizes), architecture, (2, outputs(sizes)))
    return watch(found, settings.features, architecture)


FAMILY = Family(GpsSettings, gps)
