"""The answer that a report opens with: which student of each teacher to take, at which cost, and how sure that is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stillhouse.comparison.gate import Gate, Result, Verdict, keeps_budget, keeps_quality
from stillhouse.comparison.table import Row, percent

_MEANS = ("accuracy",)
"""Metrics that are the mean of one number in [0, 1] over all rows answered, so that their sampling error has a bound."""
_Z = 1.96
"""Standard errors within which 95 % of the differences lie that are due to chance alone."""


@dataclass(frozen=True)
class Answer:
    """The choice in one line, and the sentences that say what it keeps, what the gate says, why this one and how sure that is."""

    choice: str
    sentences: tuple[str, ...]


def answers(rows: Sequence[Row], gate: Gate) -> Iterator[Answer]:
    """One answer per teacher that has students, in the order of the table."""
    for teacher in (row for row in rows if row["kind"] == "teacher"):
        students = [row for row in rows if row["teacher"] == teacher["name"] and row["kind"] == "student"]
        if students:
            yield _answer(teacher, students, gate)


def _answer(teacher: Row, students: list[Row], gate: Gate) -> Answer:
    verdicts = {row["name"]: _verdicts(row, teacher, gate) for row in students}
    passing = [row for row in students if all(verdict.passed for verdict in verdicts[row["name"]])]
    best = min(passing, key=_by_share) if passing else min(students, key=_by_quality)
    verb = "take" if passing else "no student passes the gate; the nearest is"
    sentences = (
        _kept(best, teacher),
        _gate(verdicts[best["name"]], gate),
        *(_latency_budget(row) for row in students if "latency_budget" in row and (row is best or _late(row) > 0)),
        _reason(len(passing), len(students)),
        *_sureness(best, [row for row in students if row is not best]),
    )
    return Answer(f"{teacher['name']}: {verb} {best['name']}, at {percent(best['macs_share'])} of the teacher's MACs", sentences)


def _verdicts(row: Row, teacher: Row, gate: Gate) -> tuple[Verdict, Verdict]:
    unit, budget = row["budget"]["unit"], row["budget"]["share"]
    cost = row["metrics"][unit] / teacher["metrics"][unit]
    result = Result(row["metric"], row["higher_is_better"], row["quality"], teacher["quality"], unit, cost, budget, data="")
    return keeps_quality(gate, result), keeps_budget(gate, result)


def _by_share(row: Row) -> tuple[float, float]:
    """The smallest share first; of shares that the table shows as equal, the best quality."""
    return round(row["macs_share"], 3), _by_quality(row)


def _by_quality(row: Row) -> float:
    return float(-row["quality"] if row["higher_is_better"] else row["quality"])


def _kept(row: Row, teacher: Row) -> str:
    kept = f"It keeps {percent(row['kept'])} of the teacher's {row['metric']}" if row["kept"] is not None else f"Its {row['metric']}"
    direction = "higher" if row["higher_is_better"] else "lower"
    return f"{kept}: {row['quality']:.4g} against {teacher['quality']:.4g} ({direction} is better); {_latencies(row, teacher)}."


def _latencies(row: Row, teacher: Row) -> str:
    own, other = (f"{each['latency_ms']:.1f} ± {each['latency_spread_ms']:.1f} ms" for each in (row, teacher))
    return f"a test batch takes {own} against {other}{', on a machine that was noisy' if row['latency_noisy'] else ''}"


def _gate(verdicts: tuple[Verdict, Verdict], gate: Gate) -> str:
    if failed := [verdict.reason for verdict in verdicts if not verdict.passed]:
        return f"The gate refuses it: {'; '.join(failed)}."
    return f"The gate, which wants {percent(gate.kept)} kept, lets it pass; {verdicts[1].reason}."


def _late(row: Row) -> float:
    """Milliseconds above the budget."""
    return float(row["metrics"]["latency"] - row["latency_budget"]["budget_ms"])


def _latency_budget(row: Row) -> str:
    """What the search predicted, what was measured, and whether that is inside."""
    budget, measured = row["latency_budget"], row["metrics"]["latency"]
    side = f"{_late(row):.3g} ms outside" if _late(row) > 0 else "inside"
    place = f"on {budget['runtime']} with {budget['threads']} {'thread' if budget['threads'] == 1 else 'threads'}"
    times = f"takes {measured:.3g} ms {place}, for which {budget['predicted_ms']:.3g} ms were predicted"
    return f"The network of {row['name']} {times}: it is {side} its budget of {budget['budget_ms']:.3g} ms."


def _reason(passing: int, students: int) -> str:
    if not passing and students > 1:
        return f"None of {students} passes; this is the one of the best quality."
    if students == 1:
        return "It is the only student."
    some = f"{passing} {'passes' if passing == 1 else 'pass'}"
    return f"Of {students} students {some}; this has the smallest share of MACs and, at equal shares, the best quality."


def _sureness(best: Row, others: Sequence[Row]) -> Iterator[str]:
    """What one seed and so many examples can tell, and which other students they cannot tell from the chosen one."""
    yield f"{_seeds(best)}{_examples(best)}."
    room = chance(best)
    if room is None:
        known = f"the bound is known for {', '.join(_MEANS)} alone" if best["test_examples"] else "the number of test examples is not known"
        unknown = f"How large a difference in {best['metric']} chance alone can make is not known either ({known})"
        yield f"{unknown}: train with other seeds to see."
    else:
        yield f"Differences in {best['metric']} below about {room:.2g} say nothing{_alike(best, others, room)}."
    if others:
        yield f"It was chosen among {len(others) + 1} by the same test split that its figures come from, which flatters it a little."


def _seeds(row: Row) -> str:
    values = list(row.get("seeds", {}).values())
    if not values:
        return "One seed each, so how far results differ between seeds is not known"
    spread = f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g} (mean and standard deviation)"
    return f"Over {len(values)} seeds its {row['metric']} is {spread}, from {min(values):.4g} to {max(values):.4g}"


def _examples(row: Row) -> str:
    return f"; {row['test_examples']:,.0f} rows of the test split were answered" if row["test_examples"] else ""


def chance(row: Row) -> float | None:
    """How far two equally good models may differ on the test split by chance, 95 times in 100; None where no bound is known.

    A mean of n numbers in [0, 1] has a variance of at most p (1 - p) / n. That both models answer the same examples is left out,
    which makes the bound too large rather than too small. Nearly perfect results count as one mistake, not as none.
    """
    count = row["test_examples"]
    if not count or row["metric"] not in _MEANS:
        return None
    edge = 1 / (count + 2)
    share = min(max(row["quality"], edge), 1 - edge)
    return _Z * math.sqrt(2 * share * (1 - share) / count)


def _alike(best: Row, others: Sequence[Row], room: float) -> str:
    alike = [row["name"] for row in others if abs(row["quality"] - best["quality"]) < room]
    return f", so {', '.join(alike)} cannot be told from it by quality" if alike else ""
