"""Linear maps past the layers of a graph network, as tuned ones have them (arXiv 2406.08993)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, Num


class Residual(nn.Module):
    """A layer `conv` of messages and a linear map `lin` of the nodes themselves, added up."""

    def __init__(self, conv: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.lin = conv, nn.Linear(inputs, outputs)

    def forward(self, x: Float[Tensor, "nodes _"], edge_index: Num[Tensor, "_ _"], **more: Any) -> Float[Tensor, "nodes _"]:
        """As the layer itself, of edges (2, edges) or their matrix (nodes, nodes)."""
        found: Tensor = self.conv(x, edge_index, **more) + self.lin(x)
        return found


def past(model: Any, given: Mapping[str, Any]) -> None:
    """Gives each layer of a network of `torch_geometric.nn.models`, made with the arguments `given`, a map past it."""
    inner = [given["hidden_channels"]] * (given["num_layers"] - 1)
    last = given["hidden_channels" if given["jk"] else "out_channels"]
    widths = zip([given["in_channels"], *inner], [*inner, last], strict=True)
    model.convs = nn.ModuleList(Residual(conv, *pair) for conv, pair in zip(model.convs, widths, strict=True))
