"""search: find the architecture of a student that fits a budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.parts import Problem, Search, Trial, Workload
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of
from stillhouse.training import checkpoint, machine
from stillhouse.training.score import first_batch, score


class Budget(Settings):
    """What the student may cost, as a share of the teacher's MACs or parameters."""

    unit: Literal["macs", "parameters"]
    share: float = Field(gt=0, le=1)


class SearchSettings(Settings):
    """A method with its own settings, the budget, and where the supernet's weights come from."""

    method: str
    settings: Any
    budget: Budget
    model: Any = None
    """The network that the student is cut out of; None means the teacher's own."""
    weights: Literal["teacher", "scratch"] = "teacher"
    data: Any

    @model_validator(mode="after")
    def _own_weights(self) -> SearchSettings:
        if self.model is not None and self.weights == "teacher":
            raise ValueError("weights should be scratch where model names another network than the teacher's, whose weights do not fit it")
        return self


SETTINGS = SearchSettings


def search(
    settings: SearchSettings,
    workload: Workload[Any],
    method: Search,
    *,
    prepared: Path,
    teacher: Path,
    found: Path,
    rng: torch.Generator,
    log: Log,
    scratch: Path | None = None,
) -> Metrics:
    """Runs the method's trials and keeps the one that is best on the validation split among those inside the budget."""
    data = workload.load(settings.data, prepared)
    problem = _problem(settings, workload, data, teacher, log, scratch)
    trials = list(_logged(method.run(problem, settings.settings, rng), log))
    best = _best(trials, problem.budget)
    weights = best.weights if best.weights is not None else problem.static(best.architecture).state_dict()
    record = _record(settings, teacher) | {"architecture": best.architecture.kept, "inherited": best.weights is not None}
    checkpoint.write_model(found, weights, record)
    facts = {"cost": best.cost, "budget": problem.budget, "trials": len(trials)}
    write_json(found / "search.json", {"method": settings.method, **settings.budget.model_dump(), **facts})
    return {f"found_{name}": value for name, value in best.metrics.items()} | facts


def _record(settings: SearchSettings, teacher: Path) -> checkpoint.ModelDescription:
    """What builds the full network: the teacher's record, but for the model if the student has one of its own."""
    record = checkpoint.read_record(teacher)
    return record if settings.model is None else record | {"model": settings.model.model_dump(mode="json")}


def _problem(
    settings: SearchSettings, workload: Workload[Any], data: Data[Any], teacher: Path, log: Log, scratch: Path | None
) -> Problem[Any]:
    record, device = _record(settings, teacher), machine.device()
    example = first_batch(data.valid, device)

    def priced(model: nn.Module) -> cost.Cost:
        return cost.macs(model, lambda: workload.apply(model, example)) if settings.budget.unit == "macs" else cost.parameters(model)

    master = checkpoint.read_model(workload, teacher).to(device)
    full = master if settings.model is None else checkpoint.build(workload, record, None).to(device).eval()
    terms = priced(full)

    def supernet() -> nn.Module:
        model = checkpoint.build(workload, record, None)
        if settings.weights == "teacher":
            model.load_state_dict(checkpoint.read_state(teacher))
        return model.to(device)

    def static(architecture: Architecture) -> nn.Module:
        return checkpoint.build(workload, record, architecture).to(device)

    return Problem(
        groups=groups_of(full),
        supernet=supernet,
        static=static,
        cost=lambda counts: cost.evaluate(terms, counts),
        budget=settings.budget.share * cost.total(terms if full is master else priced(master)),
        data=data,
        apply=workload.apply,
        loss=workload.loss,
        validate=lambda model: _upward(score(workload, model, data.valid), workload.higher_is_better),
        log=log,
        scratch=scratch,
    )


def _upward(metrics: Metrics, higher_is_better: bool) -> Metrics:
    """Searches compare by "higher is better"; an error is negated under a name that says so."""
    if higher_is_better:
        return metrics
    first = next(iter(metrics))
    return {f"negative_{first}": -metrics[first]} | metrics


def _logged(trials: Iterator[Trial], log: Log) -> Iterator[Trial]:
    for index, trial in enumerate(trials, start=1):
        log({"trial": index, "cost": trial.cost, **trial.metrics})
        yield trial


def _best(trials: list[Trial], budget: float) -> Trial:
    inside = [trial for trial in trials if trial.cost <= budget]
    if not inside:
        closest = min((trial.cost for trial in trials), default=float("nan"))
        raise UserError(f"no trial is inside the budget of {budget:.4g}; the closest costs {closest:.4g}")
    return max(inside, key=lambda trial: next(iter(trial.metrics.values())))
