"""How many bytes one forward pass needs: the weights, and the largest activations that one operation reads and writes.

An operation of PyTorch holds its inputs and its results at once, so the largest sum of the two is what must be free beside the weights.
What is kept for longer than that, such as the input of a residual block beside its branch, is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from stillhouse.space import cost
from stillhouse.space.blueprint import Axis, Blueprint
from stillhouse.space.cost import Cost, Counts, Term, blocks_by_module
from stillhouse.space.trace.labels import Ids, Labels, Ties
from stillhouse.space.trace.placed import Numbering, Placed, leaves
from stillhouse.space.trace.tracer import Tracer

if TYPE_CHECKING:
    from jaxtyping import Float

BYTES = 4
"""Of a number in single precision, in which the networks are counted whatever they are trained in."""


@dataclass(frozen=True, eq=False)
class Memory:
    """`activations` has a term for each tensor of an operation, in bytes, and `operation` (terms,) says of which."""

    parameters: Cost
    activations: Cost
    operation: Tensor

    def evaluate(self, counts: Counts) -> Float[Tensor, ""]:
        """Bytes in double precision; of the activations the gradient is that of the largest operation."""
        return BYTES * cost.evaluate(self.parameters, counts) + self._largest(cost.values(self.activations, counts))

    def total(self) -> float:
        """Bytes of the network it was taken from, as that network stands."""
        sizes = torch.tensor([cost.size(term) for term in self.activations.terms], dtype=torch.float64)
        return BYTES * cost.total(self.parameters) + float(self._largest(sizes))

    def _largest(self, sizes: Float[Tensor, " terms"]) -> Float[Tensor, ""]:
        place = self.operation.to(sizes.device)
        return sizes.new_zeros(int(place[-1]) + 1).index_add(0, place, sizes).amax()


def memory(model: nn.Module, run: Callable[[], object]) -> Memory:
    """Of one forward pass: `run` calls the network once, and its operations are followed.

    An axis of an activation that cannot be followed to a group counts whole.
    """
    blueprint = getattr(model, "blueprint", None)
    groups = tuple(blueprint.groups.values()) if isinstance(blueprint, Blueprint) and blueprint.architecture is None else ()
    numbering = Numbering(groups)
    watch = _Watch(leaves(model, numbering), Ties())
    with torch.no_grad(), watch.watching(model), watch:
        run()
    blocks = blocks_by_module(model)
    found = {tuple(term(*held, numbering, blocks) for held in operation): None for operation in watch.operations}
    terms = [(place, one) for place, operation in enumerate(found) for one in operation]
    return Memory(cost.parameters(model), Cost(tuple(one for _, one in terms)), torch.tensor([place for place, _ in terms]))


_Held = tuple[Labels, int, str]
"""A tensor that an operation reads or writes: its labels, the bytes of one entry, and the module."""


class _Watch(Tracer):
    """Notes the tensors of each operation beside what the tracer follows; a view and what it is a view of are one tensor."""

    def __init__(self, leaves: Mapping[Tensor, list[Ids]], ties: Ties) -> None:
        super().__init__(leaves, ties)
        self.operations: list[list[_Held]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        tensors = [
            item for item in tree_leaves((args, dict(kwargs or {}), result)) if isinstance(item, Tensor) and not self.is_weight(item)
        ]
        own = {_storage(tensor): (self.labels(tensor), _bytes(tensor), self._stack[-1]) for tensor in tensors if tensor.numel()}
        if own:
            self.operations.append(list(own.values()))
        return result


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else id(tensor)


def _bytes(tensor: Tensor) -> int:
    return BYTES if tensor.is_floating_point() else tensor.element_size()


def term(labels: Labels, size: int, module: str, numbering: Numbering, blocks: Mapping[str, tuple[tuple[str, int], ...]]) -> Term:
    """What a tensor with these labels takes, at `size` bytes an entry, in a module of a network with these `blocks`."""
    coefficient, axes = float(size), list[Axis]()
    followed = {axis for own, _ in labels.blocks for axis in own}
    for axis, entries in enumerate(labels.shape):
        coefficient *= 1 if axis in followed else entries
    for _, ids in labels.blocks:
        axes.append(Axis(Placed.at(ids.reshape(-1), numbering).parts))
    return Term(coefficient, tuple(axes), blocks[module], module)
