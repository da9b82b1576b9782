"""A network with every kind of declared layer, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed


class Block(nn.Module):
    """x + f(norm(x)), with a searched width inside."""

    def __init__(self, blueprint: Blueprint, index: int, trunk: Axis) -> None:
        super().__init__()
        hidden = blueprint.width(f"hidden{index}", 6 + index)
        self.norm = blueprint.layer_norm(trunk)
        self.outer, self.inner = blueprint.gate(trunk), blueprint.gate(hidden)
        self.first, self.second = blueprint.linear(trunk, hidden, bias=False), blueprint.linear(hidden, trunk)
        self.whole = blueprint.depth_gate("blocks", index)

    def forward(self, trunk: Tensor) -> Tensor:
        return trunk + self.whole(self.second(self.inner(self.first(self.outer(self.norm(trunk))).relu())))


class Mixed(nn.Module):
    """An embedding and a projection, concatenated, normalised and merged; residual blocks; a head that sees the embedding again."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        blueprint = Blueprint(architecture)
        left, right, trunk = blueprint.width("left", 5), blueprint.width("right", 6), blueprint.width("trunk", 8)
        self.embedding, self.project = blueprint.embedding(7, left), blueprint.linear(fixed(4), right)
        self.batch_norm, self.joined = blueprint.batch_norm(left + right), blueprint.gate(left + right)
        self.merge = blueprint.linear(left + right, trunk)
        self.blocks = nn.ModuleDict(
            {str(index): blueprint.block("blocks", index, Block(blueprint, index, trunk)) for index in blueprint.depth("blocks", 3)}
        )
        self.layer_norm, self.gate = blueprint.layer_norm(trunk + fixed(2)), blueprint.gate(trunk + fixed(2) + left)
        self.head = blueprint.linear(trunk + fixed(2) + left, fixed(3))
        self.blueprint = blueprint

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """(rows,), (rows, 4) -> (rows, 3)"""
        embedded = self.embedding(ids)
        trunk = self.merge(self.joined(self.batch_norm(torch.cat([embedded, self.project(values)], -1)).sigmoid()))
        for block in self.blocks.values():
            trunk = block(trunk)
        trunk = self.layer_norm(torch.cat([trunk, values[:, :2]], -1))
        return self.head(self.gate(torch.cat([trunk, embedded], -1)))


def settled(model: nn.Module) -> nn.Module:
    """In double precision and evaluation mode, no parameter or statistic at its trivial initial value."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in model.double().state_dict().items():
        if tensor.is_floating_point():
            fresh = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(fresh.abs() + 0.5 if "running_var" in name else fresh)
    return model.eval()


def example() -> tuple[Tensor, Tensor]:
    """Inputs of `Mixed`."""
    generator = torch.Generator().manual_seed(4)
    return torch.randint(7, (9,), generator=generator), torch.randn(9, 4, generator=generator, dtype=torch.float64)
