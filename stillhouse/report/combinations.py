"""What several combinations of settings gave, as rows and as a page with a table and a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from stillhouse.comparison import charts
from stillhouse.comparison.table import percent, quality_and_share

HEADS = ("student", "quality", "share")
"""After the number and the values: the share is that of the teacher's multiply-accumulates."""


@dataclass(frozen=True)
class Gave:
    """A combination by its values, and the reports of its students by name; `wrong` says why there are none."""

    values: Sequence[Any]
    reports: Mapping[str, Any]
    wrong: str = ""


def rows(gave: Sequence[Gave]) -> list[list[str]]:
    """A line per student, numbered as in the picture, and then one per combination that failed."""
    lines = [[str(number), *_texts(each), name, f"{y:.4f}", percent(x)] for number, (each, name, x, y) in enumerate(_students(gave), 1)]
    return lines + [["", *_texts(each), each.wrong, "", ""] for each in gave if each.wrong]


def _texts(gave: Gave) -> list[str]:
    return [value if isinstance(value, str) else json.dumps(value) for value in gave.values]


def _students(gave: Sequence[Gave]) -> Iterator[tuple[Gave, str, float, float]]:
    """Combination, name, share and quality."""
    for each in gave:
        for name, report in each.reports.items():
            found = quality_and_share(report)
            yield each, name, found["share"], found["quality"]


def page(heads: Sequence[str], gave: Sequence[Gave]) -> str:
    """HTML that needs nothing but itself; `heads` name the values."""
    lines = [_line("th", ["#", *heads, *HEADS]), *(_line("td", row) for row in rows(gave))]
    points = [
        charts.Point(x, y, str(number), "student", f"{', '.join(_texts(each))}: {name} {y:.4g} at {percent(x)}")
        for number, (each, name, x, y) in enumerate(_students(gave), 1)
    ]
    picture = charts.scatter(points, "share of the teacher's MACs", "quality") if points else ""
    style = f"<style>{charts.STYLE} body {{ font: 16px system-ui, sans-serif; margin: 1rem }} td, th {{ padding: .3rem .6rem }}</style>"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Combinations</title>{style}</head>'
    return f"{head}<body><h1>Combinations</h1><table>{''.join(lines)}</table>{picture}</body></html>\n"


def _line(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"
