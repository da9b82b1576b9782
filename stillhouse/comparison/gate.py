"""The gate: what a student must show on the test split before it may be the champion under its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings


class Gate(Settings):
    """The block `gate` of params.yaml. It changes no result, so nothing is stale when it changes; it counts at the next evaluation."""

    kept: float = Field(default=0.95, gt=0)
    """The least share of its teacher's quality (of errors: the teacher's divided by its own)."""
    slack: float = Field(default=0.01, ge=0)
    """By what share the costs may exceed the budget: they are those of a test batch, and the budget was set on another one."""
    other_data: Literal["keep", "replace"] = "keep"
    """What becomes of a champion that was measured on other test data, with which nothing can be compared."""


def read_gate(path: Path) -> Gate:
    """The block `gate` of a params.yaml, with its defaults where there is none. Raises UserError if it is no such block."""
    block = (YAML(typ="safe", pure=True).load(path) or {}).get("gate") or {}
    try:
        return Gate.model_validate(block)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        raise UserError(f"{path.name}: gate.{'.'.join(map(str, mistake['loc']))} - {mistake['msg']}") from None


@dataclass(frozen=True)
class Result:
    """What an evaluation found. `cost` and `budget` are shares of the teacher's, in `unit`; `data` is the hash of the prepared data."""

    metric: str
    higher_is_better: bool
    quality: float
    teacher: float
    unit: str
    cost: float
    budget: float
    data: str

    @classmethod
    def of(cls, report: Any, data: str) -> Result:
        """The result that a report.json tells. Raises KeyError if it is an old one, which lacks something."""
        metric, search = report["metric"], report["search"]
        student, teacher, unit = report["student"], report["teacher"], search["unit"]
        cost = student[unit] / teacher[unit]
        return cls(metric, report["higher_is_better"], student[metric], teacher[metric], unit, cost, search["share"], data)


@dataclass(frozen=True)
class Champion:
    """The present champion: its version, and its quality on test data of that hash, as far as they are known."""

    version: str
    metric: str
    quality: float | None
    data: str


@dataclass(frozen=True)
class Verdict:
    """Whether the gate is passed, and the sentence why or why not."""

    passed: bool
    reason: str


def judge(gate: Gate, result: Result, champion: Champion | None) -> Verdict:
    """All checks in one sentence if they are passed, else those that are not."""
    checks = [keeps_quality(gate, result), keeps_budget(gate, result), _beats(gate, result, champion)]
    failed = [check for check in checks if not check.passed]
    return Verdict(not failed, "; ".join(check.reason for check in failed or checks))


def keeps_quality(gate: Gate, result: Result) -> Verdict:
    """Whether enough is kept of the teacher's quality; `result.data` is not read."""
    better = _better(result)
    # Where a quality is not above 0 there is no share of it; the teacher itself is then the measure.
    own, other = (result.quality, result.teacher) if result.higher_is_better else (result.teacher, result.quality)
    passed = own >= gate.kept * other if other > 0 else not better(result.teacher, result.quality)
    share = f"{own / other:.1%} of its teacher's {result.metric}" if other > 0 else f"a {result.metric} of {result.quality:.4g}"
    got = f"it keeps {share} ({result.quality:.4g} to {result.teacher:.4g})"
    return Verdict(passed, got if passed else f"{got} and {gate.kept:.1%} are wanted")


def keeps_budget(gate: Gate, result: Result) -> Verdict:
    """Whether the cost is within the budget and the gate's slack; `result.data` is not read."""
    passed = result.cost <= result.budget * (1 + gate.slack)
    got = f"it costs {result.cost:.1%} of its teacher's {result.unit}"
    return Verdict(passed, f"{got}, {'within' if passed else 'above'} its budget of {result.budget:.1%}")


def _beats(gate: Gate, result: Result, champion: Champion | None) -> Verdict:
    if champion is None:
        return Verdict(True, "there is no champion yet")
    name = f"version {champion.version}, the present champion,"
    if champion.quality is None or (champion.data, champion.metric) != (result.data, result.metric):
        why = f"{name} was not measured on these test data"
        replace = gate.other_data == "replace"
        return Verdict(replace, why if replace else f"{why}, and gate.other_data is keep")
    passed = _better(result)(result.quality, champion.quality)
    return Verdict(passed, f"{name} has {champion.quality:.4g} on the same test data, {'less good' if passed else 'no worse'}")


def _better(result: Result) -> Callable[[float, float], bool]:
    return (lambda first, second: first > second) if result.higher_is_better else (lambda first, second: first < second)
