"""Batch normalisation of rows that stand for several equal states each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stages.core.space import Axis, declare


class SharedBatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d over all N x 2R states, computed on the rows that hold them."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, value: Tensor, share: Tensor) -> Tensor:  # type: ignore[override]
        """(rows, channels) -> (rows, channels); `share` (rows,) is how many states each row stands for."""
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            return torch.addcmul(self.bias - self.running_mean * scale, value, scale)
        result, mean, variance = _Normalise.apply(value, self.weight, self.bias, share, self.eps)
        number = share.sum()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * number / (number - 1), self.momentum)
        self.num_batches_tracked += 1
        return result


class _Normalise(torch.autograd.Function):
    """Written out, because composed of PyTorch's operations it reads and writes the rows three times as often."""

    @staticmethod
    def forward(context: Any, value: Tensor, weight: Tensor, bias: Tensor, share: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        part = share / share.sum()
        mean = part @ value
        centred = value - mean
        variance = part @ centred.square()
        inverse = (variance + eps).rsqrt()
        context.save_for_backward(centred, inverse, weight, part)
        context.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias, centred, weight * inverse), mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        centred, inverse, weight, part = context.saved_tensors
        of_bias = gradient.sum(0)
        of_weight = (gradient * centred).sum(0) * inverse
        # Through mean and variance a row has as much say as the states it stands for.
        common = torch.addcmul(of_bias, centred, of_weight * inverse).mul_(part[:, None])
        return (gradient - common).mul_(weight * inverse), of_weight, of_bias, None, None


def shared_batch_norm(axis: Axis) -> SharedBatchNorm:
    """The layer with its tensors declared."""
    return declare(SharedBatchNorm(axis.count), dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (axis,)))
