"""Stages of residual blocks on one trunk: which block may be removed, and which channels are tied by the additions.

All blocks of a stage add to the same channels, which are one width group. A block whose input and output are alike adds to
what it was given and can be removed; the first one of a stage that changes the width or the size cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from stillhouse.space.blueprint import Axis, Blueprint


@dataclass(frozen=True)
class StageShape:
    """The width of the trunk, the number of blocks and the stride of the first one."""

    width: int
    blocks: int
    stride: int = 1


@dataclass(frozen=True)
class Builders:
    """What a stage is made of; each takes a prefix for names of groups, the input axis, the output axis and the stride.

    `entry` makes a whole block that changes width or size; `branch` makes f of a removable block activate(x + f(x)).
    """

    entry: Callable[[str, Axis, Axis, int], nn.Module]
    branch: Callable[[str, Axis, Axis, int], nn.Module]
    activation: Callable[[], nn.Module] = nn.Identity
    """Must leave its own output as it is (ReLU, the identity), or removing a block would change more than the block."""


class Removable(nn.Module):
    """activate(x + f(x)), which is x when the block is masked out."""

    def __init__(self, branch: nn.Module, gate: nn.Module, activate: nn.Module) -> None:
        super().__init__()
        self.branch, self.gate, self.activate = branch, gate, activate

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, channel, height, width), the same in and out."""
        return self.activate(trunk + self.gate(self.branch(trunk)))


class Stage(nn.Module):
    """Blocks in a row. Groups: `name` for the trunk, unless it goes on from the input, and `name.blocks` for the depth."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, shape: StageShape, builders: Builders) -> None:
        super().__init__()
        same = shape.stride == 1 and full_count(blueprint, inside) == shape.width
        self.axis = inside if same else blueprint.width(name, shape.width)
        self.blocks = nn.ModuleDict()
        if not same:
            self.blocks["entry"] = builders.entry(f"{name}.entry", inside, self.axis, shape.stride)
        removable = shape.blocks if same else shape.blocks - 1
        for index in blueprint.depth(f"{name}.blocks", removable) if removable else ():
            branch = builders.branch(f"{name}.block{index}", self.axis, self.axis, 1)
            block = Removable(branch, blueprint.depth_gate(f"{name}.blocks", index), builders.activation())
            self.blocks[str(index)] = blueprint.block(f"{name}.blocks", index, block)

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, channel, height, width)"""
        for block in self.blocks.values():
            trunk = block(trunk)
        return trunk


def full_count(blueprint: Blueprint, axis: Axis) -> int:
    """The entries that an axis has in the full network."""
    return sum(size if name is None else blueprint.groups[name].size for name, size in axis.parts)
