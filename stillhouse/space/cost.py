"""What a network costs, as a function of how many elements of each group are kept.

MACs are multiply-accumulates of linear maps, convolutions, attention and sparse aggregation; normalisation, biases and
activations are not counted. Every layer's cost is a product of axis counts times the rows it is applied to, so the
whole is exact for integers and differentiable for the soft counts of a search (arXiv 2405.07194, eq. 5-6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, Axis, Blueprint, Group, axes_of, block_of, fixed

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Num

Counts = Mapping[str, "Num[Tensor, ''] | Num[Tensor, ' _']"]
"""Width group -> number kept (scalar); depth group -> one value in [0, 1] a block (vector)."""


@dataclass(frozen=True)
class Term:
    """`coefficient` times the counts of some axes, times the depth values of the blocks it stands in."""

    coefficient: float
    axes: tuple[Axis, ...]
    blocks: tuple[tuple[str, int], ...] = ()
    module: str = ""
    """Which module it is the cost of, where that is known."""


@dataclass(frozen=True, eq=False)
class Cost:
    """A sum of terms."""

    terms: tuple[Term, ...]


def evaluate(cost: Cost, counts: Counts) -> Float[Tensor, ""]:
    """The sum of all terms, a scalar in double precision, on the device of the counts."""
    return values(cost, counts).sum()


def values(cost: Cost, counts: Counts) -> Float[Tensor, " terms"]:
    """(terms,) each of the terms, in double precision, on the device of the counts."""
    device = next((count.device for count in counts.values()), torch.device("cpu"))
    tables = _tables(cost, device)
    one = torch.ones(1, dtype=torch.float64, device=device)
    widths = torch.cat([*(counts[name].double().view(1) for name in tables.widths), one])
    blocks = torch.cat([*(counts[name].double()[:size] for name, size in tables.depths.items()), one])
    value = tables.coefficients
    for axis in tables.axes:
        value = value * (axis @ widths)
    for index in tables.blocks:
        value = value * blocks[index]
    return value


def counts_of(groups: tuple[Group, ...], architecture: Architecture) -> dict[str, Tensor]:
    """The integer counts of an architecture, in the form that `evaluate` takes."""
    counts = {}
    for group in groups:
        kept = architecture.kept[group.name]
        if group.kind == "width":
            counts[group.name] = torch.tensor(float(len(kept)))
        else:
            counts[group.name] = torch.tensor([float(index in kept) for index in range(group.size)])
    return counts


def macs(model: nn.Module, run: Callable[[], object]) -> Cost:
    """The MACs of one forward pass: `run` calls the full network once, and the rows each layer sees are recorded."""
    blueprint = getattr(model, "blueprint", None)
    if isinstance(blueprint, Blueprint) and (found := blueprint.macs(model, run)):
        return found
    rows: dict[str, float] = {}
    handles = [
        module.register_forward_hook(_recorder(rows, name)) for name, module in model.named_modules() if getattr(module, "cost_axes", ())
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    blocks = blocks_by_module(model)
    modules = dict(model.named_modules())
    return Cost(tuple(Term(count, modules[name].cost_axes, blocks[name], name) for name, count in rows.items()))


def parameters(model: nn.Module) -> Cost:
    """The number of trainable parameters; a tensor that several layers share is counted once."""
    blocks = blocks_by_module(model)
    terms: dict[Tensor, Term] = {}
    for name, module in model.named_modules():
        for key, tensor in module.named_parameters(recurse=False):
            axes = axes_of(module).get(key)
            terms.setdefault(tensor, Term(1.0, axes, blocks[name]) if axes else Term(float(tensor.numel()), (), blocks[name]))
    return Cost(tuple(terms.values()))


def total(cost: Cost) -> float:
    """The cost of the network it was taken from, as that network stands (a full one or a static one)."""
    return sum(size(term) for term in cost.terms)


def size(term: Term) -> float:
    """One term of the network it was taken from, as that network stands."""
    return term.coefficient * math.prod(axis.count for axis in term.axes)


def summary(model: nn.Module, run: Callable[[], object]) -> dict[str, float]:
    """Parameters and MACs of a network as it stands, for the metrics of a stage."""
    model.eval()
    return {"parameters": total(parameters(model)), "macs": total(macs(model, run))}


@dataclass(frozen=True)
class _Tables:
    """The terms as tensors: value = coefficients * prod(axes @ widths) * prod(blocks), the last entry of each vector being 1."""

    widths: tuple[str, ...]
    depths: dict[str, int]
    coefficients: Tensor
    axes: tuple[Tensor, ...]
    blocks: tuple[Tensor, ...]


@lru_cache(maxsize=16)
def _tables(cost: Cost, device: torch.device) -> _Tables:
    widths = tuple(dict.fromkeys(name for term in cost.terms for axis in term.axes for name, _ in axis.parts if name is not None))
    depths: dict[str, int] = {}
    for group, index in (block for term in cost.terms for block in term.blocks):
        depths[group] = max(depths.get(group, 0), index + 1)
    return _Tables(
        widths,
        depths,
        torch.tensor([term.coefficient for term in cost.terms], dtype=torch.float64, device=device),
        tuple(_axis_table(column, widths).to(device) for column in zip_longest(*(term.axes for term in cost.terms))),
        tuple(_block_index(column, depths).to(device) for column in zip_longest(*(term.blocks for term in cost.terms))),
    )


def _axis_table(column: tuple[Axis | None, ...], widths: tuple[str, ...]) -> Float[Tensor, "terms widths"]:
    """(terms, widths + 1): how often each count enters one axis of each term."""
    table = torch.zeros(len(column), len(widths) + 1, dtype=torch.float64)
    place = {name: index for index, name in enumerate(widths)}
    for row, axis in zip(table, column, strict=True):
        for name, size in axis.parts if axis else fixed(1).parts:
            row[-1 if name is None else place[name]] += size if name is None else 1
    return table


def _block_index(column: tuple[tuple[str, int] | None, ...], depths: dict[str, int]) -> Int[Tensor, " terms"]:
    """(terms,): the place of each term's block in the concatenation of all depth groups."""
    ends = dict(zip(depths, accumulate(depths.values()), strict=True))
    last = sum(depths.values())
    return torch.tensor([ends[block[0]] - depths[block[0]] + block[1] if block else last for block in column])


def _recorder(rows: dict[str, float], name: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
    def record(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        # A layer that knows better (a sparse aggregation: its number of edges; a convolution) says so itself.
        own: Callable[..., float] | None = getattr(module, "rows", None)
        count = own(*inputs) if own else inputs[0].numel() / inputs[0].shape[-1]
        rows[name] = rows.get(name, 0.0) + float(count)

    return record


def blocks_by_module(model: nn.Module) -> dict[str, tuple[tuple[str, int], ...]]:
    """The removable blocks that each module stands in, by its name."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for name, module in model.named_modules():
        parent = found.get(name.rpartition(".")[0], ()) if name else ()
        own = block_of(module)
        found[name] = (*parent, own) if own else parent
    return found
