"""The key invariant as a check for any network of images: under hard masks it is the network that is cut out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stages.core import cost
from stages.core.kinds import Output
from stages.core.space import Architecture, Group, extract, groups_of, hard_masks, masked

Build = Callable[[Architecture | None], nn.Module]


def random_architecture(groups: tuple[Group, ...], rng: torch.Generator) -> Architecture:
    """A random subset of every group, not smaller than its minimum."""
    kept = {}
    for group in groups:
        count = int(torch.randint(group.minimum, group.size + 1, (), generator=rng))
        kept[group.name] = tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))
    return Architecture(kept)


def settled(model: nn.Module) -> nn.Module:
    """In double precision, no bias, norm or statistic at its trivial initial value."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in model.double().state_dict().items():
        if tensor.is_floating_point() and tensor.dim() == 1:
            fresh = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(fresh.abs() + 0.5 if "running_var" in name or name.endswith("weight") else 0.3 * fresh)
    return model.eval()


@dataclass(frozen=True)
class Pair:
    """A full network, the masks of an architecture, and the static network with the weights that were cut out."""

    full: nn.Module
    masks: dict[str, Tensor]
    static: nn.Module


def pair(build: Build, architecture: Architecture) -> Pair:
    torch.manual_seed(0)
    model, static = settled(build(None)), build(architecture).double().eval()
    static.load_state_dict(extract(model, architecture))
    return Pair(model, hard_masks(groups_of(model), architecture, torch.ones(1, dtype=torch.float64)), static)


def answer(model: nn.Module, masks: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of their squares with respect to the picture."""
    image = image.clone().requires_grad_()
    with masked(model, masks):
        output = model(image)
    prediction = output.prediction if isinstance(output, Output) else output
    return prediction.detach(), torch.autograd.grad(prediction.square().sum(), image)[0]


def check_answers(both: Pair, image: Tensor) -> None:
    """To 1e-10 in double precision."""
    for wanted, got in zip(answer(both.full, both.masks, image), answer(both.static, {}, image), strict=True):
        scale = wanted.abs().max().clamp(min=1)
        torch.testing.assert_close(got / scale, wanted / scale, rtol=0, atol=1e-10)


def check_costs(both: Pair, architecture: Architecture, image: Tensor) -> None:
    """The cost of the counts is that of the static network, by torch's own counter, which counts a multiply-add as two."""
    counts = cost.counts_of(groups_of(both.full), architecture)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # it does not know the faster ones
        both.static(image)
    macs, parameters = cost.macs(both.full, lambda: both.full(image)), cost.parameters(both.full)
    assert float(cost.evaluate(macs, counts)) == counter.get_total_flops() / 2
    assert float(cost.evaluate(parameters, counts)) == sum(value.numel() for value in both.static.parameters())
    assert cost.total(cost.macs(both.static, lambda: both.static(image))) == counter.get_total_flops() / 2
