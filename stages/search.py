"""search: find the architecture of a student that fits a budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import nn

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.files import write_json
from stillhouse.contracts.parts import Loss, Problem, Search, Workload
from stillhouse.contracts.runtime import MakeClock
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture
from stillhouse.training import checkpoint, facts, machine, ranks, workers
from stillhouse.training.budget import Budgets
from stillhouse.training.lessons import Asked
from stillhouse.training.problem import Networks, pose, solve
from stillhouse.training.teaching import TeachingSettings, WeightedLoss
from stillhouse.training.timing import Bench, sized_batch

MEASURED = Path(".work/latency")
"""Where measured latencies are kept, of all searches of a project on this machine."""


_TEACHING = ("losses", "task_weight", "warmup_epochs")


class SearchSettings(Settings):
    """A method with its own settings, the budget, and where the supernet's weights come from."""

    method: str
    settings: Any
    budget: Budgets
    keep: tuple[str, ...] = ()
    """Patterns of names of groups that stay as large as they are."""
    only: tuple[str, ...] = ()
    """Patterns of names of the groups that may become smaller; without any, all may."""
    model: Any = None
    """The network that the student is cut out of; None means the teacher's own."""
    weights: Literal["teacher", "scratch"] = "teacher"
    losses: tuple[WeightedLoss, ...] = ()
    """Distillation losses on which the search trains; without any the teacher is not asked."""
    task_weight: float = Field(1.0, ge=0)
    """What the task's own loss counts for beside them; 0 puts them in its place."""
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs of each training over which the weight of the losses rises linearly from 0."""
    data: Any
    workers: int = Field(1, gt=0, le=1024, exclude=True)
    """How many processes share the candidates, each with `threads` threads and a device; what is found is the same, so it is no part of
    what makes a result."""

    @model_validator(mode="after")
    def _own_weights(self) -> SearchSettings:
        if self.model is not None and self.weights == "teacher":
            raise ValueError("weights should be scratch where model names another network than the teacher's, whose weights do not fit it")
        return self

    @model_validator(mode="after")
    def _taught(self) -> SearchSettings:
        if not self.losses and (self.task_weight, self.warmup_epochs) != (1, 0):
            raise ValueError("task_weight and warmup_epochs should be left out where there are no losses beside the task's own")
        if (
            self.losses and not isinstance(self.settings, dict) and getattr(self.settings, "fit", None) is None
        ):  # mistakes in a block are told
            raise ValueError(f"losses should be left out where nothing is trained: {self.method} has no settings.fit")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing: results of before the losses keep their fingerprint."""
        values: dict[str, Any] = plain(self)
        return values if self.losses else {name: value for name, value in values.items() if name not in _TEACHING}


SETTINGS = SearchSettings


def search(
    settings: SearchSettings,
    workload: Workload[Any],
    method: Search,
    clock: MakeClock | None = None,
    losses: Sequence[Loss] = (),
    *,
    prepared: Path,
    teacher: Path,
    found: Path,
    rng: torch.Generator,
    log: Log,
    scratch: Path | None = None,
) -> Metrics:
    """Runs the method's trials and keeps the one that is best on the validation split among those inside the budget.

    `clock` is for a budget that is a latency, whose measurements are kept in `.work/latency`; `losses` are those of the settings.
    """
    data = workload.load(settings.data, prepared)
    networks = _networks(settings, workload, teacher)
    bench = Bench(clock, lambda size: sized_batch(workload, settings.data, prepared, size), MEASURED) if clock else None
    choice: dict[str, Any] = {"only": settings.only, "keep": settings.keep, "asked": _asked(settings, losses)}
    task = facts.told(workload, teacher, machine.device()) if losses else workload
    problem = pose(task, data, networks, settings.budget, **choice, log=log, scratch=scratch, bench=bench)
    best, told = solve(problem, method, settings.settings, rng)
    if not (ranks.first() and workers.first()):
        return told
    weights = best.weights if best.weights is not None else problem.static(best.architecture).state_dict()
    record = _record(settings, teacher) | {"architecture": best.architecture.kept, "inherited": best.weights is not None}
    checkpoint.write_model(found, weights, record)
    first = problem.limits[0]
    described = {"method": settings.method, "unit": first.unit, "share": first.most / first.teacher, **told}
    taught = {"losses": [item.loss for item in settings.losses]} if losses else {}
    write_json(found / "search.json", described | taught | _latency(settings, problem))
    return {f"found_{name}": value for name, value in best.metrics.items()} | told


def _asked(settings: SearchSettings, losses: Sequence[Loss]) -> Asked | None:
    """What the teacher is asked for, in the terms of a distillation."""
    if not losses:
        return None
    named = {name: getattr(settings, name) for name in _TEACHING}
    return Asked(TeachingSettings(**named, fit=settings.settings.fit), losses)


def _latency(settings: SearchSettings, problem: Problem[Any]) -> dict[str, Any]:
    """How a latency was predicted, for the evaluation and for a reader."""
    for budget, limit in zip(settings.budget, problem.limits, strict=True):
        if limit.fitted:
            facts = {"batch": budget.batch, **limit.fitted.facts, "coefficients_ms": dict(limit.fitted.coefficients)}
            return {"latency": {"budget_ms": limit.most, "teacher_ms": limit.teacher, **facts}}
    return {}


def _record(settings: SearchSettings, teacher: Path) -> checkpoint.ModelDescription:
    """What builds the full network: the teacher's record, but for the model if the student has one of its own."""
    record = checkpoint.read_record(teacher)
    return record if settings.model is None else record | {"model": settings.model.model_dump(mode="json")}


def _networks(settings: SearchSettings, workload: Workload[Any], teacher: Path) -> Networks:
    record, device = _record(settings, teacher), machine.device()

    def build(architecture: Architecture | None) -> nn.Module:
        return checkpoint.build(workload, record, architecture).to(device)

    def supernet() -> nn.Module:
        model = build(None)
        if settings.weights == "teacher":
            model.load_state_dict(checkpoint.read_state(teacher))
        return model

    master = checkpoint.read_model(workload, teacher).to(device)
    return Networks(master, master if settings.model is None else build(None).eval(), supernet, build)
