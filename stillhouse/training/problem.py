"""What a search is given, made of networks and data at hand; and the trial that is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Limit, Problem, Search, Task, Trial
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Group, groups_of
from stillhouse.space.declared import require_declared
from stillhouse.training import proposed
from stillhouse.training.budget import Budget, allowed, chosen, limit, together
from stillhouse.training.lessons import Asked, taught
from stillhouse.training.machine import move
from stillhouse.training.proved import require_proved
from stillhouse.training.score import first_batch, score
from stillhouse.training.timing import Bench, Space, latency_limit


@dataclass(frozen=True)
class Networks:
    """The networks of a search, all on one device."""

    teacher: nn.Module
    """Whose cost the budget is a share of."""
    full: nn.Module
    """The network that is searched, whole, as it stands for costs and groups; often the teacher."""
    supernet: Callable[[], nn.Module]
    """A new one of it, with the weights that the search begins with."""
    static: Callable[[Architecture], nn.Module]
    """A new network of an architecture, freshly initialised."""


def pose(
    task: Task[Any],
    data: Data[Any],
    networks: Networks,
    budgets: Sequence[Budget],
    *,
    only: Iterable[str] = (),
    keep: Iterable[str] = (),
    log: Log,
    scratch: Path | None = None,
    bench: Bench | None = None,
    asked: Asked | None = None,
) -> Problem[Any]:
    """The problem of finding a student of these networks inside all budgets; `only` and `keep` are patterns of names of groups.

    A budget in milliseconds needs a `bench`; where the teacher is `asked`, it teaches what the search trains. Raises UserError if the
    network costs what its layers do not declare, a pattern matches no group, or a loss refuses the network and its teacher.
    """
    example = first_batch(data.valid, next(networks.full.parameters()).device)
    groups = chosen(groups_of(networks.full), only, keep)
    _require_declared(task, networks.full, example)
    require_proved(task, networks.full, networks.static, groups, example)
    lesson = partial(taught, task, networks.teacher, asked, example, data.train.length) if asked else None
    if lesson:
        lesson(networks.full)  # what a loss refuses is told before any work
    limits = tuple(_limited(task, networks, groups, budget, example, bench, log) for budget in budgets)
    return Problem(
        groups=groups,
        supernet=networks.supernet,
        static=networks.static,
        cost=together(limits),
        budget=limits[0].most,
        data=data,
        apply=task.apply,
        loss=task.loss,
        validate=lambda model: _upward(score(task, model, data.valid), task.higher_is_better),
        log=log,
        scratch=scratch,
        limits=limits,
        split=task.split,
        lesson=lesson,
    )


def _require_declared(task: Task[Any], full: nn.Module, example: Any) -> None:
    def run() -> object:
        return task.apply(full, example)

    require_declared(full, run, cost.macs(full, run))


def _limited(
    task: Task[Any], networks: Networks, groups: tuple[Group, ...], budget: Budget, example: Any, bench: Bench | None, log: Log
) -> Limit:
    """What a budget allows in its unit. Raises UserError at milliseconds without a bench."""
    if budget.unit != "latency":
        return limit(budget, networks.full, networks.teacher, lambda model: task.apply(model, example))
    if bench is None:
        raise UserError("a budget in milliseconds - wanted something to measure with - there is nothing")
    return _timed(task, networks, groups, budget, bench, log)


def _timed(task: Task[Any], networks: Networks, groups: tuple[Group, ...], budget: Budget, bench: Bench, log: Log) -> Limit:
    example = bench.batch(budget.batch)
    on_device = move(example, next(networks.full.parameters()).device)
    found = latency_limit(
        Space(networks.full, networks.teacher, networks.static, groups),
        bench.clock(task, example, runtime=budget.runtime, threads=budget.threads),
        lambda model: task.apply(model, on_device),
        budget.multiple,
        bench.kept,
        log,
    )
    return replace(found, most=allowed(budget, found.teacher))


def solve(problem: Problem[Any], method: Search, settings: Any, rng: torch.Generator) -> tuple[Trial, Metrics]:
    """Runs the method's trials and keeps the best on the validation split of those inside the budget.

    Returns it with its `cost`, the `budget` and the number of `trials`. Raises UserError if no trial is inside the budget, or one cannot
    be.
    """
    trials = list(_logged(proposed.each(problem, method.run(problem, settings, rng)), problem.log))
    best = _best(trials, problem.budget)
    proposed.require_weights(problem, best)
    facts: Metrics = {"cost": best.cost, "budget": problem.budget, "trials": len(trials)}
    return best, facts | _each(problem, best) | _checked(problem, best)


def _each(problem: Problem[Any], best: Trial) -> Metrics:
    """Where there are several budgets: the cost in each unit, and what was allowed."""
    if len(problem.limits) < 2:
        return {}
    counts = cost.counts_of(problem.groups, best.architecture)
    costs = {f"cost_{limit.unit}": float(limit.price(counts)) for limit in problem.limits}
    return costs | {f"budget_{limit.unit}": limit.most for limit in problem.limits}


def _checked(problem: Problem[Any], best: Trial) -> Metrics:
    """Where a budget is a latency: what was predicted for the network, what it takes, and how wrong the prediction usually is."""
    for timed in problem.limits:
        if timed.fitted:
            predicted = float(timed.price(cost.counts_of(problem.groups, best.architecture)))
            with torch.random.fork_rng():
                measured = timed.fitted.clock(problem.static(best.architecture))
            times = {"predicted_ms": predicted, "measured_ms": measured, "budget_ms": timed.most, "error": timed.fitted.error}
            return {f"latency_{name}": value for name, value in times.items()}
    return {}


def _upward(metrics: Metrics, higher_is_better: bool) -> Metrics:
    """Searches compare by "higher is better"; an error is negated under a name that says so."""
    if higher_is_better:
        return metrics
    first = next(iter(metrics))
    return {f"negative_{first}": -metrics[first]} | metrics


def _logged(trials: Iterator[Trial], log: Log) -> Iterator[Trial]:
    for index, trial in enumerate(trials, start=1):
        log({"trial": index, "cost": trial.cost, **trial.metrics})
        name, value = next(iter(trial.metrics.items()))
        if not math.isfinite(value):
            raise UserError(f"trial {index}: the validation score {name} became {value}: lower the learning rate or clip the gradient")
        yield trial


def _best(trials: list[Trial], budget: float) -> Trial:
    if not trials:
        raise UserError("the search - wanted a trial at least, by `yield` - it gave none")
    inside = [trial for trial in trials if trial.cost <= budget]
    if not inside:
        closest = min(trial.cost for trial in trials)
        raise UserError(f"no trial is inside the budget of {budget:.4g}; the closest costs {closest:.4g}")
    return max(inside, key=lambda trial: next(iter(trial.metrics.values())))
