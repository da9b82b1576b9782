"""A budget in milliseconds: networks of a space are measured once on a machine and runtime, and a function of the counts is fitted to them.

What was measured is kept in a folder under a name made of all that it depends on: the network, the batch, and the processor, runtime and
threads. So the same machine measures the same space once, and another machine measures anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.data import Log
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.parts import Fitted, Limit, Workload
from stillhouse.contracts.runtime import Clock, MakeClock
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Group
from stillhouse.training.latency_model import Features, drawn, features, fit
from stillhouse.training.score import first_batch

SAMPLES = 40
"""Random networks that are measured beside the whole one."""


@dataclass(frozen=True)
class Bench:
    """What a latency is measured with: `batch` gives one of so many examples (None: as it is), `kept` is a folder for what was measured."""

    clock: MakeClock
    batch: Callable[[int | None], Any]
    kept: Path | None = None


@dataclass(frozen=True)
class Space:
    """The networks of a search: `full` is the whole one, `static` builds one of an architecture, `teacher` is whose share is meant."""

    full: nn.Module
    teacher: nn.Module
    static: Callable[[Architecture], nn.Module]
    groups: tuple[Group, ...]


def sized_batch(workload: Workload[Any], data: Any, prepared: Path, size: int | None) -> Any:
    """The first validation batch, of `size` examples if that is given. Raises UserError where batches of the data have no such size."""
    if size is not None and "evaluation_batch_size" not in type(data).model_fields:
        raise UserError("search.budget.batch - wanted data whose settings have an evaluation_batch_size - leave `batch` out for these data")
    chosen = data if size is None else data.model_copy(update={"evaluation_batch_size": size})
    return first_batch(workload.load(chosen, prepared).valid, torch.device("cpu"))


def latency_limit(space: Space, clock: Clock, run: Callable[[nn.Module], object], multiple: int, kept: Path | None, log: Log) -> Limit:
    """The limit of a latency, as yet without an amount; `run` calls a network once on the batch of the clock."""
    known = features(space.full, space.groups, lambda: run(space.full))
    architectures = drawn(space.groups, SAMPLES, multiple)
    times = _measured(space, clock, known, architectures, kept, log)
    model = fit(known, space.groups, architectures, times[1:])
    fitted = Fitted(clock.milliseconds, clock.facts, model.coefficients, model.error)
    return Limit("latency", lambda counts: cost.evaluate(model.cost, counts), times[0], 0.0, multiple, fitted)


def _measured(
    space: Space, clock: Clock, known: Features, architectures: Sequence[Architecture], kept: Path | None, log: Log
) -> list[float]:
    """The teacher's time and those of the architectures, read from `kept` if they are there."""
    facts = {"clock": dict(clock.facts), "network": _digest(space, known), "architectures": [each.counts() for each in architectures]}
    key = hashlib.sha256(json.dumps(facts | {"kept": [each.to_json() for each in architectures]}, sort_keys=True).encode()).hexdigest()
    file = kept / f"{key}.json" if kept else None
    if file and file.exists():
        found: list[float] = read_json(file)["milliseconds"]
        return found
    with torch.random.fork_rng():  # the search goes on as if nothing had been built meanwhile
        times = list(_timed(space, clock, architectures, log))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, facts | {"milliseconds": times})
    return times


def _timed(space: Space, clock: Clock, architectures: Sequence[Architecture], log: Log) -> Iterator[float]:
    yield clock.milliseconds(space.teacher)
    for index, architecture in enumerate(architectures, start=1):
        yield clock.milliseconds(space.static(architecture))
        log({"measured": index, "networks": len(architectures)})


def _digest(space: Space, known: Features) -> str:
    """Stands for two networks and the batch: what their operations are given and return."""
    terms = {name: [asdict(term) for term in feature.terms] for name, feature in known.items()}
    whole = [(name, list(value.shape)) for name, value in space.teacher.state_dict().items()]
    text = json.dumps([type(space.full).__qualname__, terms, whole], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
