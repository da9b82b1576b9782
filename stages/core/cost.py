"""What a network costs, as a function of how many elements of each group are kept.

MACs are multiply-accumulates of linear maps, convolutions, attention and sparse aggregation; normalisation, biases and
activations are not counted. Every layer's cost is a product of axis counts times the rows it is applied to, so the
whole is exact for integers and differentiable for the soft counts of a search (arXiv 2405.07194, eq. 5-6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.core.space import Architecture, Axis, Group

Counts = Mapping[str, Tensor]
"""Width group -> number kept (scalar); depth group -> one value in [0, 1] a block (vector)."""


@dataclass(frozen=True)
class Term:
    """`coefficient` times the counts of some axes, times the depth values of the blocks it stands in."""

    coefficient: float
    axes: tuple[Axis, ...]
    blocks: tuple[tuple[str, int], ...] = ()

    def value(self, counts: Counts) -> Tensor:
        """A scalar."""
        total = torch.as_tensor(self.coefficient, dtype=torch.float64)
        for axis in self.axes:
            total = total * sum(size if name is None else counts[name].double() for name, size in axis.parts)
        for group, index in self.blocks:
            total = total * counts[group][index].double()
        return total


Cost = tuple[Term, ...]


def evaluate(cost: Cost, counts: Counts) -> Tensor:
    """The sum of all terms, a scalar in double precision."""
    return torch.stack([term.value(counts) for term in cost]).sum()


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
    blocks = _blocks(model)
    modules = dict(model.named_modules())
    return tuple(Term(count, modules[name].cost_axes, blocks[name]) for name, count in rows.items())  # type: ignore[arg-type]


def parameters(model: nn.Module) -> Cost:
    """The number of trainable parameters."""
    blocks, terms = _blocks(model), []
    for name, module in model.named_modules():
        for key, tensor in module.named_parameters(recurse=False):
            axes = getattr(module, "axes", {}).get(key)
            terms.append(Term(1.0, axes, blocks[name]) if axes else Term(float(tensor.numel()), (), blocks[name]))
    return tuple(terms)


def total(cost: Cost) -> float:
    """The cost of the network it was taken from, as that network stands (a full one or a static one)."""
    return sum(term.coefficient * math.prod(axis.count for axis in term.axes) for term in cost)


def summary(model: nn.Module, run: Callable[[], object]) -> dict[str, float]:
    """Parameters and MACs of a network as it stands, for the metrics of a stage."""
    model.eval()
    return {"parameters": total(parameters(model)), "macs": total(macs(model, run))}


def _recorder(rows: dict[str, float], name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # A layer that knows better (a sparse aggregation: its number of edges; a convolution) says so itself.
        count = module.rows(*inputs) if hasattr(module, "rows") else inputs[0].numel() / inputs[0].shape[-1]
        rows[name] = rows.get(name, 0.0) + float(count)

    return record


def _blocks(model: nn.Module) -> dict[str, tuple[tuple[str, int], ...]]:
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for name, module in model.named_modules():
        parent = found.get(name.rpartition(".")[0], ()) if name else ()
        own = getattr(module, "depth", None)
        found[name] = (*parent, own) if own else parent
    return found
