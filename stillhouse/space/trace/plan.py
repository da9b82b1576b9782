"""The blueprint of a foreign network: its weights are masked where they read what a search may drop, for as long as masks are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from stillhouse.space.blueprint import Blueprint, axes_of, axis_mask
from stillhouse.space.cost import Cost, Term, blocks_by_module
from stillhouse.space.trace.labels import Ties
from stillhouse.space.trace.placed import Numbering, Placed, leaves
from stillhouse.space.trace.tracer import Tracer, first_tensor

if TYPE_CHECKING:
    from jaxtyping import Float


Told = Literal["children", "all", "reads", "none", "network"]


@dataclass
class TracedBlueprint(Blueprint):
    """Groups that were found. `reads` names the weights (module, name) and the axes of each that sum over what a group makes."""

    numbering: Numbering = field(default_factory=lambda: Numbering(()))
    reads: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    left_whole: dict[str, str] = field(default_factory=dict)
    """What cannot be searched -> the operation that stopped it."""
    told: Told = "children"
    """Of which layers modules keep sizes that must change with them, such as a number of heads: of those just below, of all they
    hold, or also of what these read; of none; or of those just below, where the network itself is one of the modules."""

    @contextmanager
    def under(self, model: nn.Module, masks: Mapping[str, Float[Tensor, " _"]]) -> Iterator[None]:
        """The network runs under masks for the time of a `with` block."""
        swapped: list[tuple[nn.Module, str, nn.Parameter]] = []
        modules = dict(model.named_modules())
        made: dict[int, Tensor] = {}
        self.masks.update(masks)
        try:
            for (owner, name), axes in self.reads.items():
                module = modules[owner]
                weight = module._parameters[name]
                assert weight is not None
                if id(weight) not in made:
                    made[id(weight)] = _masked(weight, [(axis, axes_of(module)[name][axis]) for axis in axes], masks)
                swapped.append((module, name, weight))
                del module._parameters[name]
                module.__dict__[name] = made[id(weight)]
            _flatten(module for module, _, _ in swapped)
            yield
        finally:
            for module, name, weight in swapped:
                module.__dict__.pop(name, None)
                module._parameters[name] = weight
            _flatten(module for module, _, _ in swapped)
            self.masks.clear()

    def macs(self, model: nn.Module, run: Callable[[], object]) -> Cost | None:
        """What one forward pass costs: it is followed once more, with the elements that are known by now."""
        tracer = Tracer(leaves(model, self.numbering), Ties())
        with torch.no_grad(), tracer.watching(model), tracer:
            run()
        blocks = blocks_by_module(model)
        terms: dict[tuple[Any, ...], list[Any]] = {}
        for product in tracer.products:
            axes = tuple(Placed.at(ids, self.numbering) for ids in product.axes)
            key = (product.module, tuple(axis.parts for axis in axes))
            terms.setdefault(key, [0.0, axes, blocks[product.module], product.module])[0] += product.constant
        return Cost(tuple(Term(*term) for term in terms.values()))


def _masked(weight: Tensor, axes: list[tuple[int, Any]], masks: Mapping[str, Tensor]) -> Tensor:
    result: Tensor = weight
    for place, axis in axes:
        mask = axis_mask(masks, axis, weight)
        if mask is not None:
            result = result * mask.view([-1 if other == place else 1 for other in range(weight.dim())])
    return result


def _flatten(modules: Iterator[nn.Module]) -> None:
    """Recurrent layers keep a list of their weights beside them."""
    for module in modules:
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


@dataclass
class DepthHook:
    """A forward hook that leads past a removable block as far as its mask says."""

    masks: dict[str, Tensor]
    group: str
    index: int

    def __call__(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        mask, inside, outside = self.masks.get(self.group), first_tensor((args, kwargs)), first_tensor(output)
        if mask is None or inside is None or outside is None:
            return None
        share = mask[self.index].to(outside.dtype)
        past = share * outside + (1 - share) * inside
        return tree_map_only(Tensor, lambda tensor: past if tensor is outside else tensor, output)
