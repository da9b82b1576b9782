"""Torch-Pruning as a search: its group Taylor importance over all groups, as far as a budget of MACs asks for (arXiv 2301.12900).

The package is no dependency of ours: without it, `AVAILABLE` is False.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._rival_networks import Subject

AVAILABLE = find_spec("torch_pruning") is not None
BISECTIONS = 9
HEADS = {"q_proj", "k_proj", "v_proj", "query", "key", "value"}
"""The last part of the names of linear maps whose outputs are heads."""


def macs(model: nn.Module, subject: Subject) -> float:
    """Multiply-accumulates of one example, as PyTorch counts them."""
    model.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**subject.example)
    return counter.get_total_flops() / 2 / len(next(iter(subject.example.values())))


def pruned(
    model: nn.Module, subject: Subject, share: float, *, steps: int, batches: int, after: Callable[[nn.Module], None], rng: torch.Generator
) -> nn.Module:
    """A copy of at most that share of the MACs, pruned in steps by equal factors; `after` trains it after each step.

    Each step prunes as little as it can: the ratio of all layers together is found by bisection.
    """
    whole = macs(model, subject)
    model = copy.deepcopy(model)
    for step in range(1, steps + 1):
        _gradients(model, subject, batches, rng)
        model = _within(model, subject, whole * share ** (step / steps))
        after(model)
    return model


def _gradients(model: nn.Module, subject: Subject, count: int, rng: torch.Generator) -> None:
    """Those of the task's loss, summed over training batches, where the importance looks for them."""
    model.eval().requires_grad_().zero_grad()
    for batch in islice(subject.data.train.draw(rng), count):
        subject.loss(subject.apply(model, batch), batch).backward()


def _within(model: nn.Module, subject: Subject, budget: float) -> nn.Module:
    low, high, best = 0.0, 1.0, None
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        found = _at(model, subject, middle)
        if macs(found, subject) <= budget:
            high, best = middle, found
        else:
            low = middle
    assert best is not None
    return best


def _at(model: nn.Module, subject: Subject, ratio: float) -> nn.Module:
    """A copy of which Torch-Pruning has dropped that share of channels, and of whole heads."""
    import torch_pruning as pruning

    new = copy.deepcopy(model)
    for mine, theirs in zip(new.parameters(), model.parameters(), strict=True):
        mine.grad = None if theirs.grad is None else theirs.grad.clone()
    heads = dict(_heads(new))
    pruner: Any = pruning.pruner.BasePruner(
        new,
        subject.example,
        pruning.importance.GroupTaylorImportance(),
        global_pruning=True,
        pruning_ratio=ratio,
        head_pruning_ratio=ratio,
        prune_num_heads=True,
        prune_head_dims=False,
        num_heads={layer: owner.num_attention_heads for layer, owner in heads.items()},
        ignored_layers=[new.classifier],
        output_transform=lambda output: output.logits.sum(),
    )
    pruner.step()
    for layer, owner in heads.items():
        owner.num_attention_heads = pruner.num_heads[layer]
    new.zero_grad()
    return new


def _heads(model: nn.Module) -> list[tuple[nn.Module, Any]]:
    """Linear maps whose outputs are heads, each with the module that counts the heads."""
    owners = [module for module in model.modules() if hasattr(module, "num_attention_heads")]
    return [(layer, owner) for owner in owners for name, layer in owner.named_children() if name in HEADS]
