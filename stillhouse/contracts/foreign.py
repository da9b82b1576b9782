"""Networks of somebody else as a model family: made by a function or class that the settings name, and traced on an example."""

from __future__ import annotations

import importlib
import inspect
import json
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched, watch
from stillhouse.space.blueprint import Architecture
from stillhouse.space.trace import builder

Meaning = Literal["classes", "candidates", "values"]
Make = Callable[[], nn.Module]
Value = Tensor | int
Example = tuple[Value, ...] | Mapping[str, Value]
"""Arguments of a network, by place or by name: of tensors that are no whole numbers only the shape is taken."""
Shape = tuple[int | None, ...]
"""Of a prediction; None is any length."""
Before = Callable[[nn.Module, tuple[Any, ...]], Any]
_REMEMBERED = 4
"""Builders, each with its traced network: a search builds hundreds of smaller ones."""


class ModuleSettings(Settings):
    """A network of one's own: `factory` is a class of networks, or a function whose annotation says that it returns one."""

    family: Literal["module"] = "module"
    factory: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:name`; a file of the project is `parts.module:name`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What the factory is called with, by name."""
    prediction: str | int | None = None
    """The key, attribute or place of the prediction in what is returned; by default a tensor itself, `logits`, or the first entry."""
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module, whose first returned tensor it is."""


@dataclass(frozen=True)
class AsOutput:
    """A forward hook that makes an `Output` of what a network returns."""

    meaning: Meaning
    prediction: str | int | None = None

    def __call__(self, module: nn.Module, args: Any, returned: Any) -> Output:
        """Raises UserError if there is no such tensor in it."""
        return Output(self.predicted(module, returned), self.meaning)

    def predicted(self, module: nn.Module, returned: Any) -> Tensor:
        """The prediction. Raises UserError if there is no such tensor in what is returned."""
        if isinstance(returned, Tensor) and self.prediction is None:
            return returned
        if self.prediction is not None:
            return part(module, returned, self.prediction, f"a tensor under {self.prediction!r}")
        key = "logits" if hasattr(returned, "logits") or (isinstance(returned, Mapping) and "logits" in returned) else 0
        return part(module, returned, key, "a tensor, an object with logits, or a tuple")


def part(module: nn.Module, returned: Any, key: str | int, wanted: str) -> Tensor:
    """The tensor under a key, an attribute or a place of what a network returns. Raises UserError if there is none."""
    try:
        found = getattr(returned, key) if isinstance(key, str) and hasattr(returned, key) else returned[key]
    except (LookupError, TypeError):
        found = None
    if not isinstance(found, Tensor):
        raise UserError(f"{type(module).__name__} - wanted {wanted} returned - got {type(returned).__name__}")
    return found


def module(
    settings: ModuleSettings,
    example: Example,
    architecture: Architecture | None,
    hook: AsOutput,
    shape: Shape,
    before: Before | None = None,
) -> nn.Module:
    """The network of the settings for inputs like `example`, of which it must predict the `shape`; `hook` makes an `Output` of it.

    `before` is a forward pre-hook that makes such inputs of a batch; it is given the example too, and leaves it as it is. Raises UserError
    as `network` does.
    """
    key = json.dumps(settings.model_dump(mode="json"), sort_keys=True)

    def make() -> nn.Module:
        model = made(settings)
        if before:
            model.register_forward_pre_hook(before)
        return model

    model = network(key, make, hook, example, architecture, shape)
    return watch(model, settings.features, architecture)


def network(key: str, make: Make, hook: AsOutput, example: Example, architecture: Architecture | None, shape: Shape) -> nn.Module:
    """A freshly initialised network that `make` makes, traced, or what an architecture keeps of it.

    `key` says what is made. Raises UserError if it cannot be run on the example, predicts another shape, or nothing of it may be searched.
    """
    shapes = tuple((name, tuple(value.shape) if isinstance(value, Tensor) else value) for name, value in _named(example))
    recipe = _Recipe(key, hook, shapes, shape)
    if recipe not in _BUILDERS:
        while len(_BUILDERS) >= _REMEMBERED:
            del _BUILDERS[next(iter(_BUILDERS))]
        _BUILDERS[recipe] = _builder(recipe, make, example)
    return _BUILDERS[recipe](architecture)


@dataclass(frozen=True)
class _Recipe:
    """What a network is traced of."""

    key: str
    hook: AsOutput
    example: tuple[tuple[str, tuple[int, ...] | int], ...]
    prediction: Shape


_BUILDERS: dict[_Recipe, Callable[[Architecture | None], nn.Module]] = {}


def _named(example: Example) -> Iterable[tuple[str, Value]]:
    return example.items() if isinstance(example, Mapping) else [("", value) for value in example]


def _builder(recipe: _Recipe, make: Make, given: Example) -> Callable[[Architecture | None], nn.Module]:
    # Zeros would hide much of what the network does from the proof.
    rng = torch.Generator().manual_seed(0)
    values = [_drawn(value, rng) for _, value in _named(given)]
    inputs: Example = dict(zip(given, values, strict=True)) if isinstance(given, Mapping) else tuple(values)

    def hooked() -> nn.Module:
        model = make()
        model.register_forward_hook(recipe.hook)
        return model

    with torch.random.fork_rng(devices=[]):  # whether it is the first one must not change a network's weights
        _check(recipe, hooked(), inputs)
    return builder(hooked, inputs)


def _drawn(value: Value, rng: torch.Generator) -> Value:
    if isinstance(value, Tensor) and value.is_floating_point():
        return torch.rand(value.shape, generator=rng, dtype=value.dtype)
    return value


def _check(recipe: _Recipe, model: nn.Module, inputs: Example) -> None:
    name, asked = type(model).__name__, " and ".join(f"{name} {shape}".strip() for name, shape in recipe.example)
    try:
        with torch.no_grad():
            output = model.eval()(**inputs) if isinstance(inputs, Mapping) else model.eval()(*inputs)
        found = tuple(output.prediction.shape)
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{name} - wanted a network that can be asked with {asked} numbers - {error}") from None
    wanted = recipe.prediction
    if len(found) != len(wanted) or any(length not in (None, got) for got, length in zip(found, wanted, strict=True)):
        shown = f"({', '.join('any' if length is None else str(length) for length in wanted)})"
        raise UserError(f"{name} - wanted a prediction of shape {shown} for {asked} numbers - got {found}")


def made(settings: ModuleSettings) -> nn.Module:
    """The network itself, as the factory makes it.

    Only what says that it makes networks is ever called: the name may come from a model's folder that others have written. Raises
    UserError if there is no such factory, or it does not take these arguments.
    """
    factory, place = _factory(settings.factory), f"the factory {settings.factory}"
    try:
        inspect.signature(factory).bind(**settings.arguments)
    except TypeError as error:
        raise UserError(f"{place} - wanted arguments that it takes - {error}") from None
    model = factory(**settings.arguments)
    if not isinstance(model, nn.Module):
        raise UserError(f"{place} - wanted a network - got {type(model).__name__}")
    return model


@lru_cache
def _factory(name: str) -> Any:
    path, _, attribute = name.partition(":")
    try:
        loaded = importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise UserError(f"the factory {name} - wanted a module in the project's parts/ or an installed package - {error}") from None
    found = getattr(loaded, attribute, None)
    returned = found if isinstance(found, type) else _annotation(found)
    if not (isinstance(returned, type) and issubclass(returned, nn.Module)):
        wanted = "wanted a class of networks, or a function annotated to return one (`-> nn.Module`)"
        raise UserError(f"the factory {name} - {wanted} - got {'nothing of that name' if found is None else repr(found)}")
    return found


def _annotation(function: Any) -> Any:
    try:
        return typing.get_type_hints(function).get("return")
    except (TypeError, NameError):
        return None
