"""Vision transformers (ViT, arXiv 2010.11929; DeiT without its second token, arXiv 2012.12877)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, declare, fixed
from stillhouse.workloads.pictures._shared.attention import Attention
from stillhouse.workloads.pictures._shared.convolution import convolution

if TYPE_CHECKING:
    from jaxtyping import Float

TOKENS = Layout(channel=2, positions=(1,), batch=0)
"""(batch, position, channel): the class token first, then the patches row by row"""
STAGES = 4
"""How many features name the states on the way, evenly among the layers of the full network."""


class TransformerSettings(Settings):
    """DeiT-Tiny is `width: 192, heads: 3, hidden: 768, layers: 12, patch: 16`."""

    family: Literal["transformer"] = "transformer"
    width: int = Field(192, gt=0)
    heads: int = Field(3, gt=0)
    hidden: int = Field(768, gt=0)
    """The inner width of the two linear maps of a layer."""
    layers: int = Field(12, gt=0)
    patch: int = Field(16, gt=0)
    """Its height and width in pixels."""

    @model_validator(mode="after")
    def _whole_heads(self) -> TransformerSettings:
        if self.width % self.heads:
            raise ValueError(f"width should be a multiple of heads: got {self.width} and {self.heads}")
        return self


class Layer(nn.Module):
    """x + a(norm(x)), then x + f(norm(x)); both are removed together."""

    def __init__(self, blueprint: Blueprint, index: int, trunk: Axis, settings: TransformerSettings) -> None:
        super().__init__()
        name = f"layer{index}"
        hidden = blueprint.width(f"{name}.hidden", settings.hidden)
        self.attend = nn.Sequential(
            blueprint.layer_norm(trunk),
            blueprint.gate(trunk),
            Attention(blueprint, name, trunk, settings.heads, settings.width // settings.heads),
        )
        self.feed = nn.Sequential(
            blueprint.layer_norm(trunk),
            blueprint.gate(trunk),
            blueprint.linear(trunk, hidden),
            nn.GELU(),
            blueprint.gate(hidden),
            blueprint.linear(hidden, trunk),
        )
        self.gate = blueprint.depth_gate("layers", index)

    def forward(self, tokens: Float[Tensor, "batch positions channels"]) -> Float[Tensor, "batch positions channels"]:
        """(batch, positions, channels), the same in and out."""
        tokens = tokens + self.gate(self.attend(tokens))
        return tokens + self.gate(self.feed(tokens))


class Transformer(nn.Module):
    """Patches and a class token with learned places, layers on one trunk, and a linear map of the class token's last state."""

    def __init__(self, settings: TransformerSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> None:
        super().__init__()
        _check(settings, sizes)
        blueprint, stages = Blueprint(architecture), min(STAGES, settings.layers)
        self.ends = {stage * settings.layers // stages - 1: f"stage{stage}" for stage in range(1, stages + 1)}
        trunk = blueprint.width("trunk", settings.width)
        positions = 1 + (sizes["height"] // settings.patch) * (sizes["width"] // settings.patch)
        self.embed = convolution(fixed(sizes["channels"]), trunk, settings.patch, stride=settings.patch, padding=0, bias=True)
        self.token = nn.Parameter(0.02 * torch.randn(1, trunk.count))
        self.place = nn.Parameter(0.02 * torch.randn(positions, trunk.count))
        declare(self, {"token": (fixed(1), trunk), "place": (fixed(positions), trunk)})
        self.layers = nn.ModuleDict()
        for index in blueprint.depth("layers", settings.layers, minimum=1):
            self.layers[str(index)] = blueprint.block("layers", index, Layer(blueprint, index, trunk, settings))
        self.norm, self.gate = blueprint.layer_norm(trunk), blueprint.gate(trunk)
        self.classify = blueprint.linear(trunk, fixed(sizes["classes"]))
        self.blueprint = blueprint

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> Output:
        """(batch, channel, height, width) -> logits; features are `stage1`, ... and the class token's last `state`"""
        patches = self.embed(image).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(image.shape[0], -1, -1), patches), 1) + self.place
        features = {}
        for index in range(max(self.ends) + 1):
            if str(index) in self.layers:
                tokens = self.layers[str(index)](tokens)
            if index in self.ends:
                features[self.ends[index]] = Feature(tokens, TOKENS)
        state = self.norm(tokens[:, 0])
        features["state"] = Feature(state, Layout(channel=1, positions=(), batch=0))
        return Output(self.classify(self.gate(state)), "classes", features)


def _check(settings: TransformerSettings, sizes: Mapping[str, int]) -> None:
    if sizes["height"] % settings.patch or sizes["width"] % settings.patch:
        wanted = f"wanted pictures whose sides are multiples of the patch of {settings.patch} pixels"
        raise UserError(f"{wanted} - got {sizes['height']} by {sizes['width']}")


FAMILY = Family(TransformerSettings, Transformer)
