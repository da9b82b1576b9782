"""Finds what may be searched in a module of somebody else: one run on an example says which entries belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Group
from stillhouse.space.trace import rules_norms, rules_sums, rules_views  # noqa: F401  (they register their rules)
from stillhouse.space.trace.blocks import mark
from stillhouse.space.trace.labels import Elements, Ids, Ties, pinned
from stillhouse.space.trace.placed import Numbering, Placed
from stillhouse.space.trace.plan import TracedBlueprint
from stillhouse.space.trace.proof import prove
from stillhouse.space.trace.tracer import Tracer

Inputs = tuple[Any, ...] | Mapping[str, Any]
"""What the module is called with: positional arguments, or arguments by name."""


@dataclass(frozen=True)
class _Leaf:
    """An axis of a weight or a buffer: where it is, and the element that each of its entries is, 0 for none."""

    module: str
    name: str
    axis: int
    elements: Ids
    read: bool
    made: bool
    """Whether it is a weight's, and not summed over: a buffer alone, such as a table of places, makes nothing that may be dropped."""


def traced(model: nn.Module, inputs: Inputs) -> nn.Module:
    """The module itself, in evaluation mode, with all that a search must know of it: groups, masks, costs and smaller copies.

    What cannot be searched is left whole, and `blueprint.left_whole` says what stopped it. Every group that is found is proved on the
    example: the network under its masks and the smaller one must agree.

    Raises UserError if the module cannot be run on the example, or nothing in it may be searched.
    """
    model.eval()
    if isinstance(getattr(model, "blueprint", None), TracedBlueprint):
        return model
    ties = Ties()
    leaves = {tensor: [ties.fresh(size) for size in tensor.shape] for tensor in _tensors(model)}
    tracer = Tracer(leaves, ties)
    with torch.no_grad(), tracer.watching(model), tracer:
        output = call(model, inputs)
    _pin_ends(tracer, leaves, output)
    elements = ties.elements()
    heads = set(elements.of(np.array(sorted(tracer.heads), dtype=np.int64)).tolist())
    blueprint = _blueprint(model, _axes(model, leaves, tracer, elements), heads)
    blueprint.left_whole |= _reasons(model, leaves, tracer, elements)
    mark(model, blueprint, tracer.calls)
    prove(model, blueprint, lambda network: call(network, inputs))
    if not blueprint.groups:
        first = next((f": {name}, by {reason}" for name, reason in blueprint.left_whole.items()), "")
        raise UserError(f"{type(model).__name__} - wanted a network in which something may be searched - all of it is left whole{first}")
    return model


def _axes(model: nn.Module, leaves: Mapping[Tensor, list[Ids]], tracer: Tracer, elements: Elements) -> list[_Leaf]:
    """All axes of all weights and buffers, with what is known of them."""
    return [
        _Leaf(module, name, axis, elements.of(ids), read := set(ids.tolist()) <= tracer.read, isinstance(tensor, nn.Parameter) and not read)
        for module, name, tensor in _named(model)
        for axis, ids in enumerate(leaves[tensor])
    ]


def call(model: nn.Module, inputs: Inputs) -> Any:
    """The output for an example."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def _named(model: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Weights, and buffers that lie beside weights or are a norm's, even one that is all constants; other buffers are constants."""
    for owner, module in model.named_modules():
        known = module._parameters or "running_mean" in module._buffers
        for name, tensor in [*module._parameters.items(), *(module._buffers.items() if known else ())]:
            if tensor is not None and tensor.dim() and tensor.is_floating_point():
                yield owner, name, tensor


def _tensors(model: nn.Module) -> list[Tensor]:
    return list({id(tensor): tensor for _, _, tensor in _named(model)}.values())


def _pin_ends(tracer: Tracer, leaves: Mapping[Tensor, list[Ids]], output: Any) -> None:
    """The output is for others, and of what the example does not use nothing is known."""
    tracer.ties.where = "the output"
    for tensor in tree_leaves([output, *(list(vars(item).values()) for item in tree_leaves(output) if hasattr(item, "__dict__"))]):
        if isinstance(tensor, Tensor):
            pinned(tracer.ties, tracer.labels(tensor))
    tracer.ties.where = "the example does not use it"
    for tensor, ids in leaves.items():
        for axis in ids if id(tensor) not in tracer.used else ():
            tracer.ties.pin(axis)


def _blueprint(model: nn.Module, axes: list[_Leaf], heads: set[int]) -> TracedBlueprint:
    """Elements that occur on the same axes, as often on each, are one group. `heads` are elements too."""
    places, both = _places(axes)
    found: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for number, where in places.items():
        if number in both:
            found.setdefault(tuple(where), []).append(number)
    named = {signature: numbers for signature, numbers in found.items() if len(numbers) > 1}
    groups, next_number = list[Group](), 1
    by_number: Ids = np.zeros(max(places, default=0) + 1, dtype=np.int64)
    names: dict[str, int] = {}
    for signature, own in named.items():
        groups.append(_group(axes, signature, len(own), names, heads=own[0] in heads))
        by_number[own] = np.arange(next_number, next_number + len(own))
        next_number += len(own)
    return annotate(model, axes, Numbering(tuple(groups)), by_number)


def _places(axes: list[_Leaf]) -> tuple[dict[int, list[tuple[int, int]]], set[int]]:
    """Element -> the axes where it occurs, and how often on each; and those that are made by some and read by others."""
    places: dict[int, list[tuple[int, int]]] = {}
    read, made = set[int](), set[int]()
    for index, leaf in enumerate(axes):
        numbers, counts = np.unique(leaf.elements[leaf.elements > 0], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            places.setdefault(number, []).append((index, count))
        read |= set(numbers.tolist()) if leaf.read else set()
        made |= set(numbers.tolist()) if leaf.made else set()
    return places, read & made


def _group(axes: list[_Leaf], signature: tuple[tuple[int, int], ...], size: int, names: dict[str, int], *, heads: bool) -> Group:
    index = next((index for index, _ in signature if not axes[index].read), signature[0][0])
    name = (axes[index].module or axes[index].name) + ".heads" * heads
    names[name] = names.get(name, 0) + 1
    name += f".{names[name]}" if names[name] > 1 else ""
    return Group(name, size, sharpness=4 if heads else 1)


def annotate(model: nn.Module, axes: list[_Leaf], numbering: Numbering, by_number: Ids) -> TracedBlueprint:
    """Gives the modules the axes of their tensors, and the model its blueprint."""
    blueprint = TracedBlueprint(numbering=numbering, groups={group.name: group for group in numbering.groups})
    modules = dict(model.named_modules())
    by_tensor: dict[tuple[str, str], list[_Leaf]] = {}
    for leaf in axes:
        by_tensor.setdefault((leaf.module, leaf.name), []).append(leaf)
    for (owner, name), own in by_tensor.items():
        placed = tuple(Placed.at(by_number[leaf.elements], numbering) for leaf in own)
        if any(axis.ids.any() for axis in placed):
            modules[owner].__dict__.setdefault("axes", {})[name] = placed
            if reads := tuple(leaf.axis for leaf, axis in zip(own, placed, strict=True) if leaf.read and axis.ids.any()):
                blueprint.reads[owner, name] = reads
    model.blueprint = blueprint  # type: ignore[assignment]
    return blueprint


def _reasons(model: nn.Module, leaves: Mapping[Tensor, list[Ids]], tracer: Tracer, elements: Elements) -> dict[str, str]:
    """The layers of whose outputs nothing may be dropped, each with what stopped it."""
    found: dict[str, str] = {}
    for module, name, tensor in _named(model):
        made = [ids for ids in leaves[tensor] if len(ids) > 1 and not set(ids.tolist()) <= tracer.read]
        if tensor.dim() > 1 and made and (reason := elements.reason(made[0])):
            found[module if name == "weight" else f"{module}.{name}"] = reason
    return found
