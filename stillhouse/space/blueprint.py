"""What may be searched: width and depth groups, declared once where a network is built.

A network builds its layers through a `Blueprint`. The same class then serves as the full network, as the supernet
under soft masks, and as the static network of any `Architecture`; which axis of which tensor belongs to which group
is known from the declaration, so weights can be cut out and costs counted without tracing.

    blueprint = Blueprint(architecture)
    hidden = blueprint.width("layer0.hidden", 64)
    self.first = blueprint.linear(fixed(16), hidden)
    self.gate = blueprint.gate(hidden)              # multiplied into the INPUT of every consumer
    self.second = blueprint.linear(hidden, fixed(16))
    self.blueprint = blueprint                      # lets `groups_of`, `masked` and `extract` find it

Under hard 0/1 masks the full network equals the extracted static one (differentiable model scaling, arXiv 2405.07194).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.axis import Axis, axis_mask, fixed

if TYPE_CHECKING:
    from jaxtyping import Float

    from stillhouse.space.cost import Cost

__all__ = [
    "Architecture",
    "Axis",
    "Blueprint",
    "DepthGate",
    "Gate",
    "Group",
    "MaskedLayerNorm",
    "axes_of",
    "axis_mask",
    "block_of",
    "blueprint_of",
    "declare",
    "fixed",
    "full",
    "groups_of",
    "hard_masks",
    "masked",
]
Layer = TypeVar("Layer", bound=nn.Module)
RENAMED = {"asked": "query_key", "told": "value"}
"""Last part of the name of a group in older files -> what it is called now."""


@dataclass(frozen=True)
class Group:
    """Elements kept or dropped together: the channels of tied layers, or the removable blocks of one trunk.

    `sharpness` is the mask temperature in units of `size`: 1 for widths, 4 for depth and heads (arXiv 2405.07194, A.1.1).
    """

    name: str
    size: int
    kind: Literal["width", "depth"] = "width"
    sharpness: int = 1
    minimum: int = 1


@dataclass(frozen=True)
class Architecture:
    """The kept indices of every group, sorted: all a static network needs beside its settings."""

    kept: Mapping[str, tuple[int, ...]]

    def counts(self) -> dict[str, int]:
        """Group name -> number of kept elements."""
        return {name: len(indices) for name, indices in self.kept.items()}

    def to_json(self) -> str:
        """One group per line, sorted by name."""
        return json.dumps({name: list(self.kept[name]) for name in sorted(self.kept)}, indent=1)

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The architecture that `to_json` has written; former names of groups are read too."""
        return Architecture.from_kept(json.loads(text))

    @staticmethod
    def from_kept(kept: Mapping[str, Sequence[int]]) -> Architecture:
        """From the kept indices as a file holds them; groups that were renamed since get the name they have now."""
        return Architecture({_current_name(name): tuple(indices) for name, indices in kept.items()})


def _current_name(group: str) -> str:
    owner, dot, kind = group.rpartition(".")
    return owner + dot + RENAMED.get(kind, kind) if dot else group


def full(groups: tuple[Group, ...]) -> Architecture:
    """The architecture of the full network, which keeps every element of every group."""
    return Architecture({group.name: tuple(range(group.size)) for group in groups})


class Gate(nn.Module):
    """Multiplies the masks of an axis into dimension `dim`; the identity while no masks are set."""

    def __init__(self, masks: dict[str, Tensor], axis: Axis, dim: int) -> None:
        super().__init__()
        self.masks, self.axis, self.dim = masks, axis, dim

    def forward(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Any shape whose dimension `dim` is the axis."""
        mask = axis_mask(self.masks, self.axis, value)
        if mask is None:
            return value
        shape = [1] * value.dim()
        shape[self.dim] = -1
        return value * mask.view(shape)


class DepthGate(nn.Module):
    """Multiplies the residual branch of one removable block by its scalar mask: x + gate(f(x))."""

    def __init__(self, masks: dict[str, Tensor], group: str, index: int) -> None:
        super().__init__()
        self.masks, self.group, self.index = masks, group, index

    def forward(self, branch: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Any shape."""
        mask = self.masks.get(self.group)
        return branch if mask is None else branch * mask[self.index].to(branch.dtype)


class MaskedLayerNorm(nn.LayerNorm):
    """LayerNorm over one searched axis (the last): mean and variance over kept entries only, so masks and cuts agree."""

    def __init__(self, masks: dict[str, Tensor], axis: Axis) -> None:
        super().__init__(axis.count)
        self.masks, self.axis = masks, axis

    def forward(self, value: Float[Tensor, "*rows channels"]) -> Float[Tensor, "*rows channels"]:
        """(..., channels) -> (..., channels); dropped channels hold values that later gates remove."""
        mask = axis_mask(self.masks, self.axis, value)
        if mask is None:
            return super().forward(value)
        kept = mask.sum()
        centred = value - (value * mask).sum(-1, keepdim=True) / kept
        variance = (mask * centred.square()).sum(-1, keepdim=True) / kept
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


@dataclass
class Blueprint:
    """Builds the layers of one network and remembers its groups and masks; one is made for each network that is built.

    `architecture` is None for the full network, else that of the static network to be built.
    """

    architecture: Architecture | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)

    def width(self, name: str, size: int, *, sharpness: int = 1, minimum: int = 1) -> Axis:
        """Declares a group of `size` channels; returns an axis of as many entries as the architecture keeps (None: all).

        `sharpness` is the mask temperature in units of `size`, `minimum` the fewest channels that a search leaves.
        Raises ValueError if the name is declared already, or the architecture lacks it.
        """
        self._declare(Group(name, size, "width", sharpness, minimum))
        return Axis(((name, len(self._kept(name))),))

    def depth(self, name: str, size: int, *, minimum: int = 0) -> tuple[int, ...]:
        """Declares a group of `size` removable blocks; returns the indices of those to build. Mark each of them with `block`.

        `minimum` is the fewest blocks that a search leaves. Raises ValueError as `width` does.
        """
        self._declare(Group(name, size, "depth", sharpness=4, minimum=minimum))
        return self._kept(name)

    def block(self, name: str, index: int, module: nn.Module) -> nn.Module:
        """Marks a module as block `index` of a depth group: it is costed with that block and dropped with it."""
        module.depth = (name, index)  # type: ignore[assignment]
        return module

    def linear(self, inside: Axis, outside: Axis, *, bias: bool = True) -> nn.Linear:
        """nn.Linear, (..., inside) -> (..., outside), counted in MACs; its input is gated by the caller with `gate(inside)`."""
        layer = nn.Linear(inside.count, outside.count, bias=bias)
        return declare(layer, {"weight": (outside, inside), "bias": (outside,)}, cost=(outside, inside))

    def batch_norm(self, axis: Axis) -> nn.BatchNorm1d:
        """nn.BatchNorm1d, (rows, channels) -> (rows, channels)."""
        names = ("weight", "bias", "running_mean", "running_var")
        return declare(nn.BatchNorm1d(axis.count), dict.fromkeys(names, (axis,)))

    def layer_norm(self, axis: Axis) -> MaskedLayerNorm:
        """LayerNorm, (..., channels) -> (..., channels), equal under hard masks to that of the kept channels alone."""
        return declare(MaskedLayerNorm(self.masks, axis), {"weight": (axis,), "bias": (axis,)})

    def embedding(self, number: int, axis: Axis) -> nn.Embedding:
        """nn.Embedding, (...) of indices below `number` -> (..., channels), whose channels are a searched axis."""
        return declare(nn.Embedding(number, axis.count), {"weight": (fixed(number), axis)})

    def gate(self, axis: Axis, dim: int = -1) -> Gate:
        """A module that multiplies the mask of an axis into dimension `dim`; it stands before each layer that reads the axis."""
        return Gate(self.masks, axis, dim)

    def depth_gate(self, name: str, index: int) -> DepthGate:
        """A module that multiplies the scalar mask of block `index` into its residual branch: x + gate(f(x))."""
        return DepthGate(self.masks, name, index)

    @contextmanager
    def under(self, model: nn.Module, masks: Mapping[str, Float[Tensor, " _"]]) -> Iterator[None]:
        """The network that was built with it runs under masks for the time of a `with` block."""
        self.masks.update(masks)
        try:
            yield
        finally:
            self.masks.clear()

    def macs(self, model: nn.Module, run: Callable[[], object]) -> Cost | None:
        """What one forward pass costs, or None where the layers themselves say it."""
        return None

    def _declare(self, group: Group) -> None:
        if group.name in self.groups:
            raise ValueError(f"group {group.name!r} is declared twice in one network")
        self.groups[group.name] = group

    def _kept(self, name: str) -> tuple[int, ...]:
        if self.architecture is None:
            return tuple(range(self.groups[name].size))
        if name not in self.architecture.kept:
            raise ValueError(f"the architecture lacks group {name!r}; it has {sorted(self.architecture.kept)}")
        return self.architecture.kept[name]


def declare(layer: Layer, axes: Mapping[str, tuple[Axis, ...]], cost: tuple[Axis, ...] = ()) -> Layer:
    """Says which axes a layer's own tensors have, and which counts multiply to its MACs for one row of input."""
    layer.axes, layer.cost_axes = dict(axes), cost  # type: ignore[assignment]
    return layer


def axes_of(module: nn.Module) -> Mapping[str, tuple[Axis, ...]]:
    """The axes of a module's own tensors, by their names; empty if nothing is known of them."""
    axes = getattr(module, "axes", None)  # foreign modules may use the word for something else
    return axes if isinstance(axes, dict) else {}


def block_of(module: nn.Module) -> tuple[str, int] | None:
    """The depth group of a removable block and its index there, None for what is none."""
    depth = getattr(module, "depth", None)
    return depth if isinstance(depth, tuple) else None


def blueprint_of(model: nn.Module) -> Blueprint:
    """The blueprint that a network was built with. Raises UserError if it has no attribute `blueprint`."""
    blueprint = getattr(model, "blueprint", None)
    if not isinstance(blueprint, Blueprint):
        wanted = "wanted a network whose attribute `blueprint` is the Blueprint that its layers are made through"
        raise UserError(f"{type(model).__name__} - {wanted} - got {blueprint!r:.100}: nothing is known of what may be searched in it")
    return blueprint


def groups_of(model: nn.Module) -> tuple[Group, ...]:
    """What may be searched in a network: its groups, in the order of declaration. Raises UserError without a blueprint."""
    return tuple(blueprint_of(model).groups.values())


@contextmanager
def masked(model: nn.Module, masks: Mapping[str, Float[Tensor, " _"]]) -> Iterator[nn.Module]:
    """Runs the network under masks for the time of a `with` block; after it, and after an error, it has none.

    `masks` are group name -> (size,) in [0, 1], through which gradients flow; a group without one is kept whole.
    Raises UserError without a blueprint.
    """
    with blueprint_of(model).under(model, masks):
        yield model


def hard_masks(groups: tuple[Group, ...], architecture: Architecture, like: Tensor) -> dict[str, Float[Tensor, " _"]]:
    """The 0/1 masks of an architecture: group name -> (size,), with device and dtype of `like`."""
    masks = {}
    for group in groups:
        masks[group.name] = like.new_zeros(group.size)
        masks[group.name][list(architecture.kept[group.name])] = 1
    return masks
