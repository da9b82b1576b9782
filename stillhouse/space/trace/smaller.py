"""A foreign network of smaller layers: the same class and the same names of its weights, for an architecture that a search has found."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_map_only

from stillhouse.space.blueprint import Architecture, axes_of, block_of, blueprint_of
from stillhouse.space.extraction import extract
from stillhouse.space.trace.placed import Placed
from stillhouse.space.trace.plan import Told, TracedBlueprint
from stillhouse.space.trace.tracer import first_tensor

Sizes = dict[int, int]
"""A size of the full network -> that of the smaller one."""


class Skipped(nn.Module):
    """Stands in the place of a block that is dropped: what goes in comes out."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.__dict__.update({name: value for name, value in _plain(block).items() if name not in self.__dict__})
        self.shape: Any = getattr(block, "returned", None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Any arguments; the first tensor of them is given back, in the containers that the block would have given it back in."""
        value = first_tensor((args, kwargs))
        return value if self.shape is None else tree_map_only(bool, lambda _: value, self.shape)


def _plain(block: nn.Module) -> dict[str, Any]:
    """Settings of a block and of the layers in it, which the network around it may ask for."""
    own = {name: value for name, value in vars(block).items() if isinstance(value, str | int | float | bool) and not name.startswith("_")}
    return own | {name: SimpleNamespace(**_plain(child)) for name, child in block.named_children()}


def cut(model: nn.Module, architecture: Architecture) -> nn.Module:
    """A copy with smaller layers, annotated as the static network of the architecture; `extract` of the full one fits it.

    Raises TypeError if the network was not traced, KeyError if the architecture lacks a group.
    """
    full, state = blueprint_of(model), extract(model, architecture)
    if not isinstance(full, TracedBlueprint):
        raise TypeError(f"{type(model).__name__} was not traced")
    smaller = copy.deepcopy(model)
    for name, module in list(smaller.named_modules(remove_duplicate=False)):
        if (block := block_of(module)) and block[1] not in architecture.kept[block[0]]:
            smaller.set_submodule(name, Skipped(module))
    made: dict[int, nn.Parameter] = {}
    sizes: dict[str, list[tuple[int, int]]] = {}
    for name, module in smaller.named_modules():
        sizes[name] = list(_resize(module, name, state, made, architecture, full))
    for name, module in smaller.named_modules():
        held = [pair for child in sizes if _holds(name, child, full.told) for pair in sizes[child] if pair[0] != pair[1]]
        _tell(module, _certain(sizes[name]) | _certain(held))
    blueprint_of(smaller).architecture = architecture
    return smaller


def _holds(name: str, child: str, told: Told) -> bool:
    just_below = child != name and child.rpartition(".")[0] == name
    if told in ("children", "network"):
        return just_below and (bool(name) or told == "network")
    return told != "none" and bool(name) and child.startswith(f"{name}.")


def _certain(pairs: Iterable[tuple[int, int]]) -> Sizes:
    """Sizes that became one other size; of what stays in one place and changes in another nothing can be said."""
    found: dict[int, set[int]] = {}
    for size, new in pairs:
        found.setdefault(size, set()).add(new)
    return {size: news.pop() for size, news in found.items() if len(news) == 1}


def _resize(
    module: nn.Module,
    name: str,
    state: Mapping[str, Tensor],
    made: dict[int, nn.Parameter],
    architecture: Architecture,
    full: TracedBlueprint,
) -> Iterator[tuple[int, int]]:
    """Gives a module its smaller tensors; yields the sizes and numbers of elements that have changed."""
    axes = dict(axes_of(module))
    for key, own in axes.items():
        value = state[f"{name}.{key}" if name else key]
        smaller = tuple(axis.cut(architecture) for axis in own if isinstance(axis, Placed))
        if (weight := module._parameters.get(key)) is not None:
            made.setdefault(id(weight), nn.Parameter(value, requires_grad=weight.requires_grad))
            module._parameters[key] = made[id(weight)]
        else:
            module._buffers[key] = value
        for place, (before, after) in enumerate(zip(own, smaller, strict=True)):
            assert isinstance(before, Placed)
            yield before.count, after.count
            if full.told == "reads" or place not in full.reads.get((name, key), ()):
                yield from _elements(before, after)
        module.__dict__["axes"][key] = smaller
    if isinstance(module, nn.RNNBase):
        module._flat_weights = [getattr(module, key) for key in module._flat_weights_names]


def _elements(before: Placed, after: Placed) -> Iterator[tuple[int, int]]:
    """Numbers of elements of which each has several entries, such as heads."""
    for group, _, elements in before.numbering.of(before.ids):
        kept = next((found for other, _, found in after.numbering.of(after.ids) if other is group), np.zeros(0, dtype=np.int64))
        if len(elements) > len(np.unique(elements)):
            yield len(np.unique(elements)), len(np.unique(kept))


_SIZES = {"out_features": 0, "in_features": 1, "out_channels": 0, "nf": 1, "nx": 0}
"""What common layers call the axes of their weights."""


def _own_sizes(module: nn.Module) -> dict[str, int]:
    """What convolutions and recurrent layers call the axes of weights that do not say each size once."""
    if isinstance(module, _ConvNd) and not module.transposed:
        made, each = module.weight.shape[:2]
        depthwise = module.groups > 1 and module.in_channels == module.groups
        groups = made * module.groups // module.out_channels if depthwise else module.groups
        return {"in_channels": groups * each, "out_channels": made, "groups": groups}
    if isinstance(module, nn.RNNBase):
        inside, state = (module.get_parameter(f"weight_{part}_l0").shape[1] for part in ("ih", "hh"))
        if module.proj_size:
            return {"input_size": inside, "hidden_size": module.get_parameter("weight_hr_l0").shape[1], "proj_size": state}
        return {"input_size": inside, "hidden_size": state}
    return {}


def _tell(module: nn.Module, sizes: Sizes) -> None:
    """Numbers that a module keeps of its own layers, and of those that it holds."""
    weight, numbers = getattr(module, "weight", None), dict[int, list[str]]()
    own = _own_sizes(module)
    for name, value in vars(module).items():
        if name in own:
            setattr(module, name, own[name])
        elif name in _SIZES and isinstance(weight, Tensor):
            setattr(module, name, weight.shape[_SIZES[name]])
        elif isinstance(value, int) and not isinstance(value, bool) and value in sizes and not name.startswith("_"):
            numbers.setdefault(value, []).append(name)
    for value, names in numbers.items():
        for name in [name for name in names if "head" in name] or names:  # channels of a head may be as many as heads
            setattr(module, name, sizes[value])
