"""`stillhouse run --set`: what several combinations of settings gave, in one table and one picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stillhouse.comparison import charts
from stillhouse.comparison.table import macs_share, percent, quality_and_share
from stillhouse.contracts.files import replace
from stillhouse.flows import sweep
from stillhouse.flows.sweep import Combination, Result

PAGE = "sweep.html"


def run(folder: Path, names: Sequence[str], given: Sequence[str], at_once: int, dry: bool) -> int:
    """Runs all combinations and shows them; the exit status is 1 if one failed. Raises UserError as `flows.sweep` does."""
    wanted = sweep.combinations(given)
    console = Console()
    if dry:
        console.print(_table([Result(each, "would run", {}) for each in wanted]))
        return 0
    console.print(f"{len(wanted)} combinations, {at_once} at once; what each says: {folder / sweep.PLACE}")
    results = list(sweep.Sweep(folder, names, console.print).run(wanted, at_once))
    console.print(_table(results))
    replace(folder / PAGE, lambda path: path.write_text(_page(results), encoding="utf-8"))
    console.print(f"{PAGE} shows them; `dvc exp show` lists them, `dvc exp apply NAME` makes one the workspace's")
    return int(any(result.wrong for result in results))


def _rows(results: Sequence[Result]) -> Iterator[list[str]]:
    for number, (combination, report) in enumerate(_students(results), 1):
        found = quality_and_share(report)
        yield [str(number), *_values(combination), report["name"], f"{found['quality']:.4f}", percent(found["share"])]
    for result in results:
        if result.wrong:
            yield ["", *_values(result.combination), "", result.wrong, ""]


def _values(combination: Combination) -> list[str]:
    return [json.dumps(value) if not isinstance(value, str) else value for value in combination.values.values()]


def _students(results: Sequence[Result]) -> Iterator[tuple[Combination, dict[str, Any]]]:
    for result in results:
        for name, report in result.reports.items():
            yield result.combination, {**report, "name": name}


def _heads(results: Sequence[Result]) -> list[str]:
    return ["#", *sweep.short(list(results[0].combination.values)).values(), "student", "quality", "share"]


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=None)
    for head in _heads(results):
        table.add_column(head, overflow="fold")
    for row in _rows(results):
        table.add_row(*row)
    return table


def _page(results: Sequence[Result]) -> str:
    """A table, and quality against the share of the teacher's multiply-accumulates; needs nothing but itself."""
    cells = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in _rows(results)]
    heads = "".join(f"<th>{escape(head)}</th>" for head in _heads(results))
    points = [_point(number, *found) for number, found in enumerate(_students(results), 1)]
    picture = charts.scatter(points, "share of the teacher's MACs", "quality") if points else ""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Combinations</title><style>{charts.STYLE}</style></head>'
    return f"{head}<body><table><tr>{heads}</tr>{''.join(cells)}</table>{picture}</body></html>\n"


def _point(number: int, combination: Combination, report: dict[str, Any]) -> charts.Point:
    share = macs_share(report["student"], report["teacher"])
    says = f"{combination.name} {report['name']}: {quality_and_share(report)['quality']:.4g} at {percent(share)}"
    return charts.Point(share, quality_and_share(report)["quality"], str(number), "student", says)
