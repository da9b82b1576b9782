"""Whether a network declares all that it costs: its MACs beside those that PyTorch counts on the same batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.contracts.errors import UserError
from stillhouse.space import cost
from stillhouse.space.cost import Cost

Macs = Mapping[str, float]
"""Those of each module alone, by its name."""
APART = 0.01
"""The share by which the two may differ."""
NAMED = 5
DEPTH = 1000
"""Of modules within modules: all."""


def require_declared(model: nn.Module, run: Callable[[], object], declared: Cost) -> None:
    """Compares the declared MACs of a full network with `torch.utils.flop_counter`; `run` calls the network once.

    The counter knows no sparse aggregation, and no recurrent layer on some devices. So where the two differ, a module in which it counts
    nothing is taken at its word. Raises UserError, naming the modules that differ most, if they are more than 1 % apart even then.
    """
    within = _within(model, run)
    counted = _alone(within)
    own = dict.fromkeys(counted, 0.0)
    for term in declared.terms:
        own[term.module] += cost.size(term)
    if _agree(own, counted):
        return
    known = {name: value if within[name] else 0.0 for name, value in own.items()}
    if not _agree(known, counted):
        raise UserError(f"{type(model).__name__} - wanted a network whose layers declare what they cost - {_told(known, counted)}")


def _agree(declared: Macs, counted: Macs) -> bool:
    one, other = sum(declared.values()), sum(counted.values())
    return abs(one - other) <= APART * max(one, other)


def _told(declared: Macs, counted: Macs) -> str:
    names = sorted(counted, key=lambda name: -abs(declared[name] - counted[name]))[:NAMED]
    differing = [name for name in names if declared[name] != counted[name]]
    told = ", ".join(f"{name or 'the network'} ({declared[name]:.4g} of {counted[name]:.4g})" for name in differing)
    return (
        f"{sum(declared.values()):.4g} MACs are declared of {sum(counted.values()):.4g} that PyTorch counts - "
        f"most are apart at {told}: "
        "build these through a Blueprint, or say their cost with `declare`"
    )


def _within(model: nn.Module, run: Callable[[], object]) -> Macs:
    """MACs of each module with all that it holds."""
    # Of the kernels of an attention the counter knows the plain one on every device, the fused one of the CPU it does not.
    with torch.no_grad(), _frozen(model), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, depth=DEPTH) as counter:
        run()
    root = type(model).__name__
    found = {name: sum(flops.values()) / 2 for name, flops in counter.get_flop_counts().items()}
    return {name: found.get(f"{root}.{name}" if name else "Global", 0.0) for name, _ in model.named_modules()}


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No weight wants a gradient, or the counter would look for one where a module is given a weight."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        for weight in trained:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _alone(within: Macs) -> Macs:
    """Less what is counted in the modules that each holds; a list of modules is itself never called, and hands on to what holds it."""
    found = dict(within)
    for name, value in within.items():
        holder = name.rpartition(".")[0]
        while holder and not within[holder]:
            holder = holder.rpartition(".")[0]
        if name:
            found[holder] -= value
    return found
