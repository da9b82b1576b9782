"""Intermediate results of a network of somebody else, under names, so that distillation losses can compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, Feature, Layout, Output
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture
from stillhouse.space.trace.tracer import first_tensor


class Watched(Settings):
    """What a submodule returns: the first tensor of it. In settings its name may stand alone.

    Of four axes the second holds the channels, as in pictures (`channel: 3` says that the last one does); of two and of three, such as
    (batch, token, channel), the last one.
    """

    module: str = Field(min_length=1)
    """Its name as `named_modules` gives it: `encoder.layer.2`."""
    channel: int | None = Field(None, ge=1, le=4)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"module": value} if isinstance(value, str) else value

    def feature(self, value: Tensor) -> Feature:
        """The tensor with the meaning of its axes. Raises UserError if it has no such axis, or none at all of channels."""
        channel = self.channel or (IMAGE.channel if value.dim() == 4 else value.dim() - 1)
        if not 1 <= channel < value.dim():
            raise UserError(f"{self.module} - wanted a tensor with channels in axis {channel} - got one of shape {tuple(value.shape)}")
        return Feature(value, Layout(channel, tuple(axis for axis in range(1, value.dim()) if axis != channel), batch=0))


def watch(model: nn.Module, features: Mapping[str, Watched], architecture: Architecture | None) -> nn.Module:
    """Lets the network's `Output` have the features, and a copy's its own; gives the network back.

    Raises UserError if it has no such module; in a smaller one a search may have dropped it.
    """
    modules, values, found = dict(model.named_modules(remove_duplicate=False)), dict[str, Tensor](), dict[str, Watched]()
    for name, watched in features.items():
        if watched.module in modules:
            modules[watched.module].register_forward_hook(_Note(name, values))
            found[name] = watched
        elif architecture is None:
            raise UserError(f"features: {name} - wanted the name of a module of {type(model).__name__} - there is no {watched.module}")
    if found:
        model.register_forward_hook(_Gather(found, values))
    return model


class _Note:
    """Writes down what a module returns."""

    def __init__(self, name: str, values: dict[str, Tensor]) -> None:
        self.name, self.values = name, values

    def __call__(self, module: nn.Module, args: Any, returned: Any) -> None:
        if (value := first_tensor(returned)) is not None:
            self.values[self.name] = value


class _Gather:
    """Gives an output what was written down, and forgets it, so that no graph of gradients outlives its step."""

    def __init__(self, found: dict[str, Watched], values: dict[str, Tensor]) -> None:
        self.found, self.values = found, values

    def __call__(self, module: nn.Module, args: Any, output: Output) -> Output:
        features = {name: self.found[name].feature(value) for name, value in self.values.items()}
        self.values.clear()
        return replace(output, features=features)
