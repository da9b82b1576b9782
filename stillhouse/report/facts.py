"""What a report tells, read off the files that the stages leave; and what the last one told, read off its page."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stillhouse import lineage
from stillhouse.comparison.gate import Gate, read_gate
from stillhouse.contracts.errors import UserError
from stillhouse.lineage import picture, subject
from stillhouse.report import seeds

COMPARED = ("quality", "kept", "parameters", "macs", "agreement")
"""What is compared with the last report; latency differs a little every time."""
_DATA = re.compile(r'<script type="application/json" id="facts">(.*?)</script>', re.DOTALL)
Row = dict[str, Any]
Curve = dict[str, list[float]]


@dataclass(frozen=True)
class Facts:
    """`rows` of the comparison (a teacher's before its students'), each with its `seeds` (quality by seed, if several are known),
    `curves` by name (columns of numbers, the epoch first), and `lineage`: a picture as SVG by the student's name."""

    title: str
    time: str
    commit: str
    rows: list[Row]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Last:
    """What the last report told: when, of which commit, and the compared values by name."""

    time: str
    commit: str
    values: Mapping[str, Mapping[str, float | None]]


def read(folder: Path) -> Facts:
    """The facts of the project in `folder`.

    Raises:
        UserError: the comparison has not run yet, is no table, or one of an older version; or the gate is no gate.
    """
    path = folder / "data/comparison/table.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there are no results yet ({path} does not exist): `stillhouse run` makes them") from error
    except ValueError as error:
        raise UserError(f"{path} - wanted the table of the comparison as JSON - {error}") from error
    if any("higher_is_better" not in row for row in rows):
        raise UserError(f"{path} - wanted the table of this version - got an older one: `stillhouse run` renews it")
    curves = {row["name"]: curve for row in rows if (curve := _curve(folder / "data" / row["name"] / f"{row['kind']}.csv"))}
    students = {row["name"]: row["teacher"] for row in rows if row["kind"] == "student"}
    by_seed = seeds.read(folder, students)
    rows = [row | {"seeds": by_seed.get(row["name"], {})} for row in rows]
    now = time.strftime("%Y-%m-%d %H:%M")
    return Facts(folder.resolve().name, now, _commit(folder), rows, curves, _lineage(folder, list(students)), _gate(folder))


def told(facts: Facts) -> str:
    """What the next report will want to know of this one, as JSON that may stand in a page."""
    values = {row["name"]: {name: row.get(name) for name in COMPARED} for row in facts.rows}
    return json.dumps(asdict(Last(facts.time, facts.commit, values))).replace("<", "\\u003c")


def last(page: Path) -> Last | None:
    """What the report in this file told; None if there is none, or another page."""
    try:
        found = _DATA.search(page.read_text(encoding="utf-8"))
        return Last(**json.loads(found.group(1))) if found else None
    except (OSError, ValueError, TypeError):
        return None


def _curve(path: Path) -> Curve:
    """The columns that hold a number in every row."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    return {name: values for name, values in columns.items() if all(math.isfinite(value) for value in values)}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _gate(folder: Path) -> Gate:
    path = folder / "params.yaml"
    return read_gate(path) if path.exists() else Gate()


def _commit(folder: Path) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _lineage(folder: Path, students: list[str]) -> dict[str, str]:
    """Pictures of what students were made of; none of one of which nothing is known."""
    pictures = {}
    with suppress(UserError):
        links = lineage.read(folder)
        for student in students:
            with suppress(UserError):
                thing, context = subject.resolve(folder, links, student)
                pictures[student] = picture.svg(lineage.Backward(folder, links).tree(thing, context), "inputs")
    return pictures
