"""One step's loss and gradient of a whole batch: at once, in several parts one after the other, and on several devices.

What is minimised is the same however a batch is split: each part's loss counts for its share of the batch, gradients are added up over
parts and devices, batch norms take their statistics over all devices, and each part draws (dropout) from a seed of its own that the number
of devices does not change. All devices draw the same batches, and each computes its part of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.split import Part, Share, Split
from stillhouse.training import ranks
from stillhouse.training.machine import move
from stillhouse.training.precision import Precision, mixed
from stillhouse.training.recomputed import recomputed

Objective = Callable[..., Tensor]
"""objective(batch) -> a scalar; of a batch that is split objective(part, share) -> what the part adds to it."""


class Spread:
    """How the batches of one training are computed: in `accumulate` parts, each on all devices; blocks once more if `again` is true."""

    def __init__(
        self, model: nn.Module, objective: Objective, split: Split | None, accumulate: int, precision: Precision, *, again: bool = False
    ) -> None:
        if split is None and accumulate * ranks.count() > 1:
            raise UserError("fit - devices and accumulate should be 1 - a batch of this task cannot be split")
        self.model, self.objective, self.precision = model, objective, precision
        self.accumulate, self.split, self.again = accumulate, split, again
        self._trained: list[nn.Parameter] | None = None

    def backward(self, batch: Any) -> Tensor:
        """The loss of a whole batch, a scalar without gradient; the gradients are those of it."""
        if self.split is None or self.accumulate * ranks.count() == 1:
            return self._part(batch)
        seed, losses = int(torch.randint(2**62, ())), []
        for place, part, share in shares(self.split, batch, self.accumulate):
            torch.manual_seed(seed + 1 + place)
            losses.append(self._part(part, share))
        torch.manual_seed(seed)
        loss = torch.stack(losses).sum()
        ranks.add_up([loss, *self._gradients()])
        return loss

    def require_same(self) -> None:
        """Raises UserError if the devices no longer have the same weights; looked at once per pass, because it waits for them."""
        if ranks.count() > 1:
            ranks.require_same("weights", ranks.digest(self.model))

    def _part(self, *of_batch: Any) -> Tensor:
        device = next(self.model.parameters()).device
        with ExitStack() as stack:
            stack.enter_context(mixed(device, self.precision))
            if self.again:
                stack.enter_context(recomputed(self.model))
            if ranks.count() > 1:
                stack.enter_context(_BatchNormOverDevices())
            loss = self.objective(*move(of_batch, device))
        _require_scalar(loss)
        loss.backward()
        return loss.detach()

    def _gradients(self) -> list[Tensor]:
        """Of all weights that have one on some device. Which these are shows in the first step."""
        if ranks.count() == 1:
            return []
        weights = list(self.model.parameters())
        if self._trained is None:
            some = torch.tensor([float(weight.grad is not None) for weight in weights], device=weights[0].device)
            ranks.add_up([some])
            self._trained = [weight for weight, number in zip(weights, some.tolist(), strict=True) if number]
        if {id(weight) for weight in weights if weight.grad is not None} - {id(weight) for weight in self._trained}:
            raise UserError("fit.devices - should be 1 - some weights of this network have a gradient in some steps only")
        for weight in self._trained:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        return [weight.grad for weight in self._trained if weight.grad is not None]


def _require_scalar(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.dim() or not loss.requires_grad:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) and loss.dim() else f"a {type(loss).__name__} without a gradient"
        raise UserError(f"the loss of a batch - wanted a scalar tensor that the network's weights move - got {got}")


def shares(split: Split, batch: Any, accumulate: int) -> Iterator[tuple[int, Any, Share]]:
    """(its place among all, the part, its share) of each part of a batch that this device computes.

    The batch is split into `accumulate` parts and each of these over the devices, so that those computed at once lie side by side.
    Raises UserError if the batch has fewer rows than parts.
    """
    devices = ranks.count()
    parts = [part for turn in split(batch, accumulate) for part in split(turn.batch, devices)]
    if not all(part.rows for part in parts):
        got = f"{sum(part.rows for part in parts)} for devices x accumulate = {len(parts)}"
        raise UserError(f"fit - wanted a row at least of each batch for each part - got {got}: raise data.batch_size")
    own = range(ranks.number(), len(parts), devices)
    for place in own:
        yield place, parts[place].batch, _share(parts, place, last=place == own[-1])


def _share(parts: Sequence[Part[Any]], place: int, *, last: bool) -> Share:
    rows, counted = sum(part.rows for part in parts), sum(part.counted for part in parts)
    share = parts[place].rows / rows
    return Share(share, parts[place].counted / counted if counted else share, first=place == 0, last=last)


class _BatchNormOverDevices(TorchFunctionMode):
    """Sees every call of PyTorch and changes the two that all batch norms come down to: in training, statistics are of all devices' rows.

    PyTorch's own SyncBatchNorm does the same on CUDA alone, and only in layers that have been exchanged for it.
    """

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        given = dict(zip(_ARGUMENTS.get(func, ()), args, strict=False)) | (kwargs or {})
        if func not in _ARGUMENTS or not given.pop("training", False):
            return func(*args, **(kwargs or {}))
        given.pop("cudnn_enabled", None)
        return _batch_norm(**given)


_ARGUMENTS: dict[Callable[..., Any], tuple[str, ...]] = {
    functional.batch_norm: ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    torch.batch_norm: ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn_enabled"),
}


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`input` is (batch, channel, *positions); the running statistics (channel,) move as those of one device would."""
    axes, shape = [0, *range(2, input.dim())], [1, -1, *[1] * (input.dim() - 2)]
    known = input.to(torch.promote_types(input.dtype, torch.float32))
    own = known.new_tensor([known.numel() / known.shape[1]])
    sums = ranks.total(torch.cat((known.sum(axes), own)))
    samples = sums[-1].detach()
    mean = sums[:-1] / samples
    away = known - mean.view(shape)
    variance = ranks.total(away.square().sum(axes)) / samples
    with torch.no_grad():
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * samples / (samples - 1).clamp(min=1)).to(running_var), momentum)
    result = away * (variance + eps).rsqrt().view(shape)
    result = result if weight is None else result * weight.view(shape)
    return (result if bias is None else result + bias.view(shape)).to(input.dtype)
