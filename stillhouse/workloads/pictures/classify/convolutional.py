"""What all classifiers with convolutions have in common: the mean of the last map, and one linear map of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from stillhouse.contracts.output import IMAGE, Feature, Layout, Output
from stillhouse.space.blueprint import Axis, Blueprint, fixed

if TYPE_CHECKING:
    from jaxtyping import Float

STATE = Layout(channel=1, positions=(), batch=0)
"""(batch, channel)"""


class Convolutional(nn.Module):
    """A backbone that names its maps, a `head` from the last one to a map of `axis`, its mean over positions, and logits."""

    def __init__(self, blueprint: Blueprint, backbone: nn.Module, head: nn.Module, axis: Axis, classes: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.gate, self.classify = blueprint.gate(axis), blueprint.linear(axis, fixed(classes))
        self.blueprint = blueprint

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> Output:
        """(batch, channel, height, width) -> logits; features are the backbone's maps, `stage1`, ..., and the mean `state`"""
        maps = self.backbone(image)
        state = self.head(next(reversed(maps.values()))).mean((2, 3))
        features = {name: Feature(value, IMAGE) for name, value in maps.items()} | {"state": Feature(state, STATE)}
        return Output(self.classify(self.gate(state)), "classes", features)
