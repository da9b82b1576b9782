"""The key invariant as a check for any network of images: under hard masks it is the network that is cut out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.contracts.output import Output
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Group, full, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract

Build = Callable[[Architecture | None], nn.Module]
CUTS = 4
"""Random architectures of each network."""


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


def predicted(model: nn.Module, image: Tensor) -> Tensor:
    """The logits of a network that gives them with features or alone."""
    output = model(image)
    prediction: Tensor = output.prediction if isinstance(output, Output) else output
    return prediction


def outputs(model: nn.Module, masks: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of their squares with respect to the picture."""
    image = image.clone().requires_grad_()
    with masked(model, masks):
        prediction = predicted(model, image)
    return prediction.detach(), torch.autograd.grad(prediction.square().sum(), image)[0]


def check_outputs(both: Pair, image: Tensor) -> None:
    """To 1e-10 in double precision."""
    for wanted, got in zip(outputs(both.full, both.masks, image), outputs(both.static, {}, image), strict=True):
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


def check_cuts(build: Build, image: Tensor) -> None:
    """Random architectures predict and cost the same whether masked or cut out."""
    rng = torch.Generator().manual_seed(0)
    groups = groups_of(build(None))
    for _ in range(CUTS):
        _check(build, random_architecture(groups, rng), image)


def check_removals(build: Build, image: Tensor) -> None:
    """Every removable block can be removed alone."""
    groups = groups_of(build(None))
    for group in (group for group in groups if group.kind == "depth"):
        for index in range(group.size):
            left = tuple(other for other in range(group.size) if other != index)
            _check(build, Architecture({**full(groups).kept, group.name: left}), image)


def _check(build: Build, architecture: Architecture, image: Tensor) -> None:
    both = pair(build, architecture)
    check_outputs(both, image)
    check_costs(both, architecture, image)


def check_statistics(build: Build, image: Tensor) -> None:
    """In training mode too, and what the norms of the static network would have learned is what the supernet's have."""
    architecture = random_architecture(groups_of(build(None)), torch.Generator().manual_seed(1))
    both = pair(build, architecture)
    both.full.train(), both.static.train()
    check_outputs(both, image)
    for name, value in extract(both.full, architecture).items():
        torch.testing.assert_close(both.static.state_dict()[name], value, rtol=1e-9, atol=1e-9)


def check_gradients(build: Build, image: Tensor) -> None:
    """Soft masks of every group have a finite gradient that is not all zeros."""
    torch.manual_seed(0)
    model, rng = settled(build(None)), torch.Generator().manual_seed(0)
    masks = {group.name: 0.5 + 0.5 * torch.rand(group.size, generator=rng, dtype=torch.float64) for group in groups_of(model)}
    for mask in masks.values():
        mask.requires_grad_()
    with masked(model, masks):
        loss = predicted(model, image).square().sum()
    gradients = dict(zip(masks, torch.autograd.grad(loss, list(masks.values())), strict=True))
    assert [name for name, value in gradients.items() if not value.isfinite().all() or not value.any()] == []
