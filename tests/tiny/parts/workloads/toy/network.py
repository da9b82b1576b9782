"""A residual perceptron with one width group for its trunk, one for each block's inside and one depth group."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed


class NetworkSettings(Settings):
    """`width` channels in the trunk and inside each of `depth` residual blocks."""

    width: int = Field(16, gt=0)
    depth: int = Field(2, ge=0)


class Block(nn.Module):
    """x + f(x), where f has a searched width inside and may be dropped as a whole."""

    def __init__(self, blueprint: Blueprint, index: int, trunk: Axis, width: int) -> None:
        super().__init__()
        hidden = blueprint.width(f"block{index}.hidden", width)
        self.outer, self.inner = blueprint.gate(trunk), blueprint.gate(hidden)
        self.first, self.second = blueprint.linear(trunk, hidden), blueprint.linear(hidden, trunk)
        self.whole = blueprint.depth_gate("blocks", index)

    def forward(self, trunk: Tensor) -> Tensor:
        """(rows, trunk) -> (rows, trunk)"""
        branch = self.second(self.inner(self.first(self.outer(trunk)).relu()))
        return trunk + self.whole(branch)


class Network(nn.Module):
    """Points in the plane to logits of classes."""

    def __init__(self, settings: NetworkSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> None:
        super().__init__()
        blueprint = Blueprint(architecture)
        trunk = blueprint.width("trunk", settings.width)
        self.first = blueprint.linear(fixed(sizes["inputs"]), trunk)
        # A dictionary and not a list: a static network then keeps the names of the blocks that it keeps.
        self.blocks = nn.ModuleDict(
            {
                str(index): blueprint.block("blocks", index, Block(blueprint, index, trunk, settings.width))
                for index in blueprint.depth("blocks", settings.depth)
            }
        )
        self.gate = blueprint.gate(trunk)
        self.head = blueprint.linear(trunk, fixed(sizes["classes"]))
        self.blueprint = blueprint

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, inputs) -> logits (rows, classes) and the last trunk (rows, trunk)."""
        trunk = self.first(points).tanh()
        for block in self.blocks.values():
            trunk = block(trunk)
        trunk = self.gate(trunk)
        return self.head(trunk), trunk
