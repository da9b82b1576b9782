"""What a student may cost, and what a search may touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Limit
from stillhouse.contracts.runtime import Name
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.space.blueprint import Group
from stillhouse.space.cache import cache
from stillhouse.space.memory import memory

Price = Callable[[Mapping[str, Tensor]], Tensor]
"""Counts -> what they cost."""
_OF_LATENCY = {"runtime", "threads", "batch", "multiple"}


class Budget(Settings):
    """What the student may cost: a `share` of the teacher's, or a `value`.

    The units are MACs of one validation batch, parameters, bytes of memory, bytes of a token in the cache, and milliseconds.
    """

    unit: Literal["macs", "parameters", "memory", "cache", "latency"]
    share: float | None = Field(default=None, gt=0, le=1)
    value: float | None = Field(default=None, gt=0)
    runtime: Name = "torch"
    """Where a latency is measured; this and the next three belong to a latency alone."""
    threads: int = Field(1, gt=0)
    batch: int | None = Field(None, gt=0)
    """Examples in the batch; None takes the first validation batch as it is."""
    multiple: int = Field(1, gt=0)
    """Of which widths are multiples: a runtime may be faster at those of 8 or 16."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Budget:
        if (self.share is None) == (self.value is None):
            raise ValueError("a budget should have either share or value")
        if self.unit != "latency" and (foreign := _OF_LATENCY & self.model_fields_set):
            raise ValueError(f"{', '.join(sorted(foreign))} should stand in a budget whose unit is latency")
        return self


def _several(value: Any) -> Any:
    if isinstance(value, Budget):
        return (value,)
    return (Budget.model_validate(value),) if isinstance(value, Mapping) else value


def _plain(budgets: tuple[Budget, ...]) -> Any:
    plain = [budget.model_dump(exclude_none=True, exclude=None if budget.unit == "latency" else _OF_LATENCY) for budget in budgets]
    return plain[0] if len(plain) == 1 else plain


def _once(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    if len({budget.unit for budget in budgets}) < len(budgets):
        raise ValueError("a unit should have one budget")
    return budgets


Budgets = Annotated[tuple[Budget, ...], Field(min_length=1), BeforeValidator(_several), AfterValidator(_once), PlainSerializer(_plain)]
"""One, or a list of several that must all be kept."""


def limit(budget: Budget, full: nn.Module, teacher: nn.Module, run: Callable[[nn.Module], object]) -> Limit:
    """The budget, in what can be counted, for the students of a full network; `run` calls a network once on the batch to count on."""
    price, own = _priced(budget.unit, full, run)
    if full is not teacher:
        own = _priced(budget.unit, teacher, run)[1]
    return Limit(budget.unit, price, own, allowed(budget, own))


def allowed(budget: Budget, own: float) -> float:
    """The amount that a budget means where the teacher costs `own`."""
    return budget.value if budget.value is not None else (budget.share or 0) * own


def measured(unit: str, model: nn.Module, run: Callable[[nn.Module], object]) -> float:
    """What a network costs in a unit, as it stands; `run` as in `limit`."""
    return _priced(unit, model, run)[1]


def _priced(unit: str, model: nn.Module, run: Callable[[nn.Module], object]) -> tuple[Price, float]:
    if unit == "memory":
        held = memory(model, lambda: run(model))
        return held.evaluate, held.total()
    terms = _terms(unit, model, run)
    return lambda counts: cost.evaluate(terms, counts), cost.total(terms)


def _terms(unit: str, model: nn.Module, run: Callable[[nn.Module], object]) -> cost.Cost:
    if unit == "macs":
        return cost.macs(model, lambda: run(model))
    if unit == "parameters":
        return cost.parameters(model)
    if (held := cache(model)) is None or not held.terms:
        got = type(model).__name__
        raise UserError(
            f"search.budget - wanted a language model of Hugging Face, which keeps keys and values, for the unit cache - got {got}"
        )
    return held


def together(limits: tuple[Limit, ...]) -> Price:
    """One cost for all, in the unit of the first: at its budget when the tightest of them is; the gradient is that of the tightest."""
    first = limits[0]
    if len(limits) == 1:
        return first.price
    return lambda counts: first.most * torch.stack([limit.price(counts) / limit.most for limit in limits]).amax()


def chosen(groups: tuple[Group, ...], only: Iterable[str], keep: Iterable[str]) -> tuple[Group, ...]:
    """The groups, of which those that match no pattern of `only` (if there is one) or one of `keep` cannot become smaller.

    Raises UserError if a pattern matches none.
    """
    wanted, kept = tuple(only), tuple(keep)
    for pattern in (*wanted, *kept):
        if not any(fnmatchcase(group.name, pattern) for group in groups):
            raise UserError(
                f"search.only and keep - wanted patterns of groups - {pattern!r} matches none of {[group.name for group in groups]}"
            )

    def free(group: Group) -> bool:
        return (not wanted or _matches(group, wanted)) and not _matches(group, kept)

    if not groups:
        remedy = "name another by search.model, with weights: scratch"
        raise UserError(f"search.model - wanted a network of which something may become smaller - the teacher's has nothing: {remedy}")
    if not any(free(group) for group in groups):
        raise UserError("search.only and keep - wanted a group that may be searched - they leave none")
    return tuple(group if free(group) else replace(group, minimum=group.size) for group in groups)


def _matches(group: Group, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(group.name, pattern) for pattern in patterns)
