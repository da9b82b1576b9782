"""Graph transformers: each node attends to all others, beside what its edges tell (GPS, arXiv 2205.12454)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.gps import Attending, Gps
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, example, features_alone


class GpsSettings(GeometricSettings, Attending):
    """The sizes, the heads, and the layers that see edges."""

    family: Literal["gps"] = "gps"
    messages: Literal["gcn", "gin"] = "gcn"
    most_nodes: int = Field(4096, gt=0)
    """All nodes attend to all: time grows with the square of how many there are."""


class Headed(nn.Module):
    """A network of nodes `body`, and the linear layer `head` on its answers."""

    def __init__(self, settings: GpsSettings, inputs: int, classes: int) -> None:
        super().__init__()
        self.body, self.head = Gps(settings, inputs), nn.Linear(settings.hidden, classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(nodes, features) and (2, edges) to (nodes, classes)."""
        found: Tensor = self.head(self.body(x, edge_index))
        return found


@dataclass(frozen=True)
class AtMost:
    """A forward pre-hook that refuses graphs of more nodes than may attend to each other."""

    nodes: int

    def __call__(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        """Raises UserError."""
        if len(given[0]) > self.nodes:
            raise UserError(
                f"the family gps - wanted at most {self.nodes} nodes, all of which attend to all - got {len(given[0])}: "
                "raise model.most_nodes, or take gcn, sage or gat"
            )


def gps(settings: GpsSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) and edges (2, edges) to classes (nodes, classes).

    Raises UserError where positions are wanted and there are none, and the network itself does at more than `most_nodes` nodes.
    """
    if settings.positions and not sizes.get("positions"):
        raise UserError("the family gps - wanted positions of nodes, `prepare: {positions: {size: 16}}` - there are none")
    inputs = sizes["features"] + (sizes["positions"] if settings.positions else 0)

    def make() -> nn.Module:
        model = Headed(settings, inputs, sizes["classes"])
        for hook in (None if settings.positions else features_alone(sizes), AtMost(settings.most_nodes)):
            if hook:
                model.register_forward_pre_hook(hook)
        return model

    given = example(sizes)
    recipe = settings.model_dump_json(exclude={"features"})
    found = foreign.network(recipe, make, foreign.AsOutput("classes"), given, architecture, (len(given[0]), sizes["classes"]))
    return watch(found, settings.features, architecture)


FAMILY = Family(GpsSettings, gps)
