"""What a stage's settings say of several devices and processes, and what speaks against it, told before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from stillhouse.training.fit import FitSettings


def number(settings: Any) -> int:
    """How many processes a stage takes, one for each device: those of its training, or those that share the candidates of its search."""
    return max((workers(settings), *(fit.devices for _, fit in fits(settings))))


def workers(settings: Any) -> int:
    """How many processes share the candidates of a search; 1 for any other verb."""
    return int(getattr(settings, "workers", 1))


def fits(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FitSettings]]:
    """Where in a block of settings it is said how weights are trained, and what."""
    from stillhouse.training.fit import FitSettings  # and PyTorch, which the comparison does without

    if isinstance(settings, FitSettings):
        yield path, settings
    elif isinstance(settings, BaseModel):
        for name in type(settings).model_fields:
            yield from fits(getattr(settings, name), (*path, name))


def obstacles(workload: str, settings: Any, parts: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """(path, what should be, what is) for each wish that a stage's parts cannot fulfil."""
    for path, fit in fits(settings):
        if parts["workload"].split is None:
            reason = f"should be 1: a batch of the workload {workload!r} cannot be split"
            yield from (((*path, name), reason, value) for name in ("devices", "accumulate") if (value := getattr(fit, name)) > 1)
        if fit.devices > 1 and "method" in parts and not parts["method"].spreads:
            yield (*path, "devices"), f"should be 1: the search {settings.method!r} decides by more than its training", fit.devices
        if fit.devices > 1 and parts.get("clock"):
            yield (*path, "devices"), "should be 1 where a budget is a latency: each device would measure another one", fit.devices
        pooling = _pooling(settings, parts) if fit.accumulate > 1 else []
        if pooling:
            yield (*path, "accumulate"), f"should be 1: {', '.join(pooling)} wants all rows of a batch at once", fit.accumulate
    if (count := workers(settings)) > 1 and not parts["method"].shares:
        yield ("workers",), f"should be 1: the search {settings.method!r} has no candidates that are judged one by one", count
    elif count > 1 and parts.get("clock"):
        yield ("workers",), "should be 1 where a budget is a latency: each process would measure another one", count


def _pooling(settings: Any, parts: Mapping[str, Any]) -> list[str]:
    """The names of the distillation losses that take statistics over a batch."""
    pairs = zip(getattr(settings, "losses", ()), parts.get("losses", ()), strict=True)
    return [item.loss for item, loss in pairs if loss.pools(item.settings)]
