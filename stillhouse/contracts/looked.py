"""What the functions of a workload give is looked at: a mistake in one of them shows itself far from it, or not at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts import lines
from stillhouse.contracts.calls import require_settings, require_takes, require_valid
from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.parts import Floor, Load, Workload
from stillhouse.contracts.shown import Shown

_MEANINGS = ("classes", "candidates", "values")
_TAKEN: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "prepare": (("settings", "raw", "prepared", "rng"), {}),
    "load": (("settings", "prepared"), {"test": True}),
    "model": (("settings", "sizes", "architecture"), {}),
    "apply": (("network", "batch"), {}),
    "loss": (("output", "batch"), {}),
    "score": (("pairs",), {}),
}
"""What each function of a workload is called with, by place and by name."""


def looked_at(workload: Workload[Any], place: str) -> Workload[Any]:
    """The same workload, whose functions raise UserError, beginning with `place`, where what they give is not what they should.

    Raises UserError where one of them cannot be called as it will be, or settings are no class of Settings.
    """
    for name in ("prepare_settings", "data_settings"):
        require_settings(getattr(workload, name), f"{place} - wanted {name} = a class")
    require_valid(workload.model_settings, f"{place} - wanted model_settings = a class, or a union of classes,")
    for name, wanted in (("floor", Floor | None), ("higher_is_better", bool)):
        if not isinstance(found := getattr(workload, name), wanted):
            raise UserError(f"{place} - wanted {name} = a {wanted.__name__ if isinstance(wanted, type) else 'Floor'} - got {found!r:.100}")
    for name, (given, named) in _TAKEN.items():
        require_takes(getattr(workload, name), given, named, f"{place} - wanted {name}")
    checks = {"prepare": numbers, "model": network, "loss": _scalar, "score": _metrics, "shown": _shown}
    checks |= {"agreement": _rows} if workload.agreement else {}
    looked: dict[str, Any] = {name: _then(getattr(workload, name), check, f"{place}, {name}") for name, check in checks.items()}
    return replace(workload, **looked, load=_loaded(workload.load, f"{place}, load"), apply=_asked(workload.apply, f"{place}, apply"))


def numbers(found: object, place: str) -> Metrics:
    """Metrics as numbers of Python's own. Raises UserError, beginning with `place`, at anything else."""
    if not isinstance(found, Mapping):
        raise UserError(f"{place} - wanted numbers by name - got {kind(found)}")
    return {_name(name, place): number(value, f"{place}, {name!r:.100}") for name, value in found.items()}


def number(value: Any, place: str) -> float:
    """A number of Python's own, finite or not. Raises UserError, beginning with `place`, at anything else."""
    with suppress(TypeError, ValueError, RuntimeError):  # what a tensor of several numbers raises
        if not isinstance(value, str):
            return value if type(value) in (int, float) else float(value)
    raise UserError(f"{place} - wanted a number - got {value!r:.100}")


def network(found: object, place: str) -> nn.Module:
    """The same. Raises UserError, beginning with `place`, unless it is a network with weights."""
    if not isinstance(found, nn.Module):
        raise UserError(f"{place} - wanted a torch.nn.Module - got {kind(found)}")
    if next(found.parameters(), None) is None:
        remedy = "if its layers lie in a list, let it be an nn.ModuleList"
        raise UserError(f"{file_of(found) or place} - wanted a network with weights - it has none: {remedy}")
    return found


def file_of(network: nn.Module) -> str:
    """The file of a network's class and its name; "" where it is this library's, or PyTorch's."""
    module = type(network).__module__
    if module.partition(".")[0] in ("stillhouse", "torch"):
        return ""
    return f"{lines.shown(str(getattr(sys.modules.get(module), '__file__', module)))}, {type(network).__name__}"


def kind(found: object) -> str:
    """What was got, in words."""
    return f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"


def _then(function: Callable[..., Any], check: Callable[[Any, str], Any], place: str) -> Callable[..., Any]:
    @wraps(function, updated=())  # a class of networks may stand for a function
    def looked(*given: Any, **named: Any) -> Any:
        found = function(*given, **named)
        return found if torch.compiler.is_compiling() else check(found, place)

    return looked


def _loaded(load: Load[Any], place: str) -> Load[Any]:
    @wraps(load, updated=())
    def looked(settings: Any, prepared: Path, /, *, test: bool = False) -> Data[Any]:
        found = _data(load(settings, prepared, test=test), place)
        if test and found.test is None:
            raise UserError(f"{place} - wanted Data with a test split where test=True asks for it - got None")
        return found

    return looked


def _asked(apply: Callable[[nn.Module, Any], Output], place: str) -> Callable[[nn.Module, Any], Output]:
    @wraps(apply, updated=())
    def looked(network: nn.Module, batch: Any) -> Output:
        found = apply(network, batch)
        if not torch.compiler.is_compiling() and (mistake := _mistake(found)):
            ours = apply.__module__.startswith("stillhouse.")
            raise UserError(f"{(file_of(network) if ours else '') or f'{place} of {type(network).__name__}'} - {mistake}")
        return found

    return looked


def _mistake(found: object) -> str:
    """What is wrong with the output of a batch, "" if nothing is."""
    if not isinstance(found, Output):
        return f"wanted a stillhouse.contracts.output.Output of a batch - got {kind(found)}"
    if not isinstance(found.prediction, Tensor) or not found.prediction.is_floating_point():
        return f"wanted an Output whose prediction is a tensor of numbers with a fraction - got {kind(found.prediction)}"
    if found.meaning not in _MEANINGS:
        return f"wanted an Output whose meaning is one of {', '.join(_MEANINGS)} - got {found.meaning!r:.100}"
    if not isinstance(found.features, Mapping):
        return f"wanted an Output with features by name - got {kind(found.features)}"
    return next((mistake for name, feature in found.features.items() if (mistake := _of_feature(str(name), feature))), "")


def _of_feature(name: str, found: object) -> str:
    if not (isinstance(found, Feature) and isinstance(found.value, Tensor) and isinstance(found.layout, Layout)):
        return f"wanted the feature {name!r} as a Feature(tensor, Layout(...)) - got {kind(found)}"
    axes, dims = [found.layout.channel, *found.layout.positions, found.layout.batch], found.value.dim()
    known = [axis for axis in axes if axis is not None]
    if len(set(known)) < len(known) or not all(0 <= axis < dims for axis in known):
        return f"wanted a layout whose axes are those of the feature {name!r} of {dims} axes - got {found.layout}"
    return ""


def _data(found: object, place: str) -> Data[Any]:
    if not isinstance(found, Data):
        raise UserError(f"{place} - wanted a stillhouse.contracts.data.Data - got {kind(found)}")
    for name in ("train", "valid", *(["test"] if found.test is not None else [])):
        _require_batches(getattr(found, name), f"{place}, {name}")
    try:
        json.dumps(dict(found.sizes))
    except (TypeError, ValueError) as error:
        raise UserError(f"{place} - wanted sizes as JSON holds them, such as whole numbers by name - {error}") from None
    return found


def _shown(found: object, place: str) -> Shown:
    if not isinstance(found, Shown):
        raise UserError(f"{place} - wanted a stillhouse.contracts.shown.Shown of a batch - got {kind(found)}")
    return found


def _rows(found: object, place: str) -> Tensor:
    if not isinstance(found, Tensor):
        raise UserError(f"{place} - wanted a tensor with a number for each row - got {kind(found)}")
    return found


def _require_batches(found: object, place: str) -> None:
    if not isinstance(found, Batches):
        wanted = "wanted Batches(draw, length), where draw(rng) begins a pass"
        raise UserError(f"{place} - {wanted} - got {kind(found)}")
    if not isinstance(found.length, int) or found.length < 1 or not callable(found.draw):
        got = f"Batches({found.draw!r:.60}, {found.length!r:.60})"
        raise UserError(f"{place} - wanted Batches(draw, length) of one batch at least - got {got}")
    require_takes(found.draw, ("rng",), {}, f"{place} - wanted Batches whose draw is called as draw")


def _scalar(found: object, place: str) -> Tensor:
    if not isinstance(found, Tensor) or found.dim() or not found.is_floating_point():
        raise UserError(f"{place} - wanted a scalar tensor, such as a mean over rows - got {kind(found)}")
    return found


def _metrics(found: object, place: str) -> Metrics:
    metrics = numbers(found, place)
    if not metrics:
        raise UserError(f"{place} - wanted a metric at least, of which the first is the one to beat - there is none")
    return metrics


def _name(name: object, place: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{place} - wanted names of metrics that are text - got {name!r:.100}")
    return name
