"""Simplified graph convolutions: features are averaged over neighbours some times, and then each node is by itself (arXiv 1902.07153)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import arguments, body
from stillhouse.workloads.graphs._shared.layers import layer
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, example, features_alone


class SgcSettings(GeometricSettings):
    """The sizes of the layers on averaged features. The published network has a single one, in which nothing can be searched."""

    family: Literal["sgc"] = "sgc"
    layers: int = Field(2, gt=1)
    hops: int = Field(2, gt=0)
    """How many times features are averaged."""


class Averaged(nn.Module):
    """An MLP `body` on features that are averaged over neighbours: S^K x with S = D^-1/2 (A + I) D^-1/2."""

    def __init__(self, body: nn.Module, hops: int) -> None:
        super().__init__()
        self.body, self.averages = body, by_matrix(layer("APPNP")(hops, 0.0))  # without a way back to the features

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(nodes, features) and (2, edges) to (nodes, classes)."""
        found: Tensor = self.body(self.averages(x, edge_index))
        return found


def sgc(settings: SgcSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) and edges (2, edges) to classes (nodes, classes). Raises UserError where wanted positions are missing."""
    if settings.positions and not sizes.get("positions"):
        raise UserError("the family sgc - wanted positions of nodes, `prepare: {positions: {size: 16}}` - there are none")
    inputs = sizes["features"] + (sizes["positions"] if settings.positions else 0)

    def make() -> nn.Module:
        model = Averaged(body("MLP", settings, arguments(settings, inputs, sizes["classes"], {})), settings.hops)
        if not settings.positions and (hook := features_alone(sizes)):
            model.register_forward_pre_hook(hook)
        return model

    given = example(sizes)
    recipe = settings.model_dump_json(exclude={"features"})
    found = foreign.network(recipe, make, foreign.AsOutput("classes"), given, architecture, (len(given[0]), sizes["classes"]))
    return watch(found, settings.features, architecture)


FAMILY = Family(SgcSettings, sgc)
