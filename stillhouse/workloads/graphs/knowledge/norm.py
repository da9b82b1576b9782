"""Batch normalisation of rows that stand for several equal states each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Axis, declare

_SLICE = 8192
"""Rows of width 32 that fill one megabyte."""


class SharedBatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d over all N x 2R states, computed on the rows that hold them."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, value: Tensor, share: Tensor) -> Tensor:  # type: ignore[override]
        """(rows, channels) -> (rows, channels); `share` (rows,) is how many states each row stands for."""
        value = value.to(self.weight.dtype)
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            return torch.addcmul(self.bias - self.running_mean * scale, value, scale)
        share = share.to(self.weight.dtype)
        with torch.autocast(value.device.type, enabled=False):  # moments of a million states need all digits
            result, mean, variance = _Normalise.apply(value, self.weight, self.bias, share, self.eps)
        number = share.sum()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * number / (number - 1), self.momentum)
        self.num_batches_tracked += 1
        return result


class _Normalise(torch.autograd.Function):
    """Written out and taken in slices that fit a cache; composed of whole operations it takes five times as long."""

    @staticmethod
    def forward(context: Any, value: Tensor, weight: Tensor, bias: Tensor, share: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        part = share / share.sum()
        mean = part @ value
        variance = torch.zeros_like(mean)
        for rows, portion in _slices(value, part):
            variance += portion @ (rows - mean).square_()
        scale = weight * (variance + eps).rsqrt()
        context.save_for_backward(value, mean, variance, weight, part)
        context.eps = eps
        context.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias - mean * scale, value, scale), mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        value, mean, variance, weight, part = context.saved_tensors
        inverse = (variance + context.eps).rsqrt()
        of_bias, along = gradient.sum(0), torch.zeros_like(mean)
        for slope, rows in _slices(gradient, value):
            along += (slope * rows).sum(0)
        of_weight = (along - mean * of_bias) * inverse
        # Through mean and variance a row has as much say as the states it stands for.
        linear = of_weight * inverse
        constant, scale, result = of_bias - mean * linear, weight * inverse, torch.empty_like(value)
        for slope, rows, portion, out in _slices(gradient, value, part, result):
            torch.addcmul(constant, rows, linear, out=out).mul_(-portion[:, None]).add_(slope).mul_(scale)
        return result, of_weight, of_bias, None, None


def _slices(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    size = _SLICE if tensors[0].device.type == "cpu" else len(tensors[0])
    return zip(*(tensor.split(max(size, 1)) for tensor in tensors), strict=True)


def shared_batch_norm(axis: Axis) -> SharedBatchNorm:
    """The layer with its tensors declared."""
    return declare(SharedBatchNorm(axis.count), dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (axis,)))
