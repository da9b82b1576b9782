"""Attention whose heads, and dimensions of queries, keys and values, may be searched (arXiv 2405.07194)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from stillhouse.space.blueprint import Axis, Blueprint, declare

if TYPE_CHECKING:
    from jaxtyping import Float


class Split(nn.Module):
    """A linear map to heads: its weight is (heads, dimensions, channels), so that each can be cut by itself."""

    def __init__(self, heads: Axis, dimensions: Axis, inside: Axis) -> None:
        super().__init__()
        bound = math.sqrt(3 / inside.count)
        self.weight = nn.Parameter(torch.empty(heads.count, dimensions.count, inside.count).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(heads.count, dimensions.count))
        declare(self, {"weight": (heads, dimensions, inside), "bias": (heads, dimensions)}, (heads, dimensions, inside))

    def forward(self, tokens: Float[Tensor, "batch positions channels"]) -> Float[Tensor, "batch heads positions dimensions"]:
        """(batch, positions, channels) -> (batch, heads, positions, dimensions)"""
        return linear(tokens, self.weight.flatten(0, 1), self.bias.flatten()).unflatten(-1, self.bias.shape).transpose(1, 2)


class Merge(nn.Module):
    """A linear map from heads: its weight is (channels, heads, dimensions)."""

    def __init__(self, heads: Axis, dimensions: Axis, outside: Axis) -> None:
        super().__init__()
        bound = math.sqrt(3 / (heads.count * dimensions.count))
        self.weight = nn.Parameter(torch.empty(outside.count, heads.count, dimensions.count).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outside.count))
        declare(self, {"weight": (outside, heads, dimensions), "bias": (outside,)}, (outside, heads, dimensions))

    def forward(self, mixed: Float[Tensor, "batch heads positions dimensions"]) -> Float[Tensor, "batch positions channels"]:
        """(batch, heads, positions, dimensions) -> (batch, positions, channels)"""
        return linear(mixed.transpose(1, 2).flatten(2), self.weight.flatten(1), self.bias)

    def rows(self, mixed: Tensor) -> int:
        """Tokens."""
        return mixed.shape[0] * mixed.shape[2]


class Mix(nn.Module):
    """softmax(q k^T * scale) v; costs the products of queries with keys and of shares with values."""

    def __init__(self, heads: Axis, query_key: Axis, value: Axis, scale: float) -> None:
        super().__init__()
        self.scale = scale
        declare(self, {}, (heads, query_key + value))

    def forward(
        self,
        query: Float[Tensor, "batch heads positions query_key"],
        key: Float[Tensor, "batch heads positions query_key"],
        value: Float[Tensor, "batch heads positions value"],
    ) -> Float[Tensor, "batch heads positions value"]:
        """(batch, heads, positions, dimensions)"""
        return scaled_dot_product_attention(query, key, value, scale=self.scale)

    def rows(self, query: Tensor, key: Tensor, value: Tensor) -> int:
        """Pairs of positions."""
        return query.shape[0] * query.shape[2] * key.shape[2]


class Attention(nn.Module):
    """Self-attention. Groups: `name.heads`, `name.query_key` (queries and keys) and `name.value` (values), the latter two for all heads.

    Each product has each mask once, where the paper has masks at both of its factors: what is cut is the same, and a soft mask
    is the factor that it says. The scale is that of the full network, so that a cut changes no score.
    """

    def __init__(self, blueprint: Blueprint, name: str, trunk: Axis, heads: int, dimensions: int) -> None:
        super().__init__()
        kept = blueprint.width(f"{name}.heads", heads, sharpness=4)
        query_key, value = blueprint.width(f"{name}.query_key", dimensions), blueprint.width(f"{name}.value", dimensions)
        self.query, self.key, self.value = Split(kept, query_key, trunk), Split(kept, query_key, trunk), Split(kept, value, trunk)
        self.mix = Mix(kept, query_key, value, 1 / math.sqrt(dimensions))
        self.merge = Merge(kept, value, trunk)
        self.gate_heads = blueprint.gate(kept, 1)
        self.gate_query_key, self.gate_value = blueprint.gate(query_key), blueprint.gate(value)

    def forward(self, tokens: Float[Tensor, "batch positions channels"]) -> Float[Tensor, "batch positions channels"]:
        """(batch, positions, channels), the same in and out; masks are in `tokens` already."""
        mixed = self.mix(self.gate_query_key(self.query(tokens)), self.key(tokens), self.value(tokens))
        return self.merge(self.gate_heads(self.gate_value(mixed)))
