"""Layers of a graph network and of a transformer side by side (GPS, arXiv 2205.12454), of PyTorch Geometric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.workloads.graphs._shared.geometric import Sizes
from stillhouse.workloads.graphs._shared.layers import layer

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Attending(Sizes):
    """The sizes of such a network; `hidden` is the width of all heads together."""

    heads: int = Field(4, gt=0)
    """Of the attention of each node to all nodes of its graph."""
    messages: Literal["gcn", "gin"] = "gin"
    """The layers that see edges."""

    @model_validator(mode="after")
    def _heads(self) -> Attending:
        if self.hidden % self.heads:
            raise ValueError(f"hidden should be a multiple of heads - got {self.hidden} and {self.heads}")
        return self


class Gps(nn.Module):
    """A linear layer `into` the width, and `layers` that add to a node what its edges tell and what all nodes of its graph tell."""

    def __init__(self, settings: Attending, inputs: int) -> None:
        """Raises UserError if the package is not installed."""
        attending = layer("GPSConv")
        super().__init__()
        norm = "batch_norm" if settings.norm == "batch" else None
        self.into = nn.Linear(inputs, settings.hidden)
        self.layers = nn.ModuleList(
            attending(settings.hidden, _messages(settings), settings.heads, settings.dropout, norm=norm) for _ in range(settings.layers)
        )

    def forward(
        self, x: Float[Tensor, "nodes _"], edge_index: Int[Tensor, "2 edges"], batch: Int[Tensor, " nodes"] | None = None
    ) -> Float[Tensor, "nodes hidden"]:
        """Features and edges to hidden rows; `batch` (None: one graph) is the graph of each node, rising."""
        found: Tensor = self.into(x)
        for each in self.layers:
            found = each(found, edge_index, batch)
        return found


def _messages(settings: Attending) -> nn.Module:
    width = settings.hidden
    if settings.messages == "gcn":
        made: nn.Module = layer("GCNConv")(width, width)
    else:
        made = layer("GINConv")(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)), train_eps=True)
    return made
