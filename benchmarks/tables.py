"""Writes the result tables of README.md and of results, engines and nodes in docs: `make tables`. With --check it only compares.

A table stands between `<!-- results NAME: metric, metric, ... -->` and `<!-- end -->`; a metric may be given as `metric as head`,
one in seconds as `metric in ms` too.
`<!-- results NAME of METHOD|METHOD: ... -->` leaves out all other methods, and all sets but those of `in SET|SET` if it is there too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.contracts.files import read_json

ROOT = Path(__file__).parent.parent
MS = " in ms"
FILES = (ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "engines.md", ROOT / "docs" / "nodes.md")
_CHOICE = r"(?: of (?P<methods>[^:\n]*?))?(?: in (?P<sets>[^:\n]*?))?"
PLACE = re.compile(r"(<!-- results (?P<name>[\w.-]+)" + _CHOICE + r": (?P<metrics>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(check: Annotated[bool, typer.Option(help="change nothing; exit 1 if a table differs from its results")] = False) -> None:
    """Renews the tables."""
    for path in FILES:
        old = path.read_text()
        new, found = PLACE.subn(_renewed, old)
        if found < (begun := old.count("<!-- results ")):
            form = "`<!-- results NAME: metrics -->` on a line of its own and `<!-- end -->` below"
            typer.echo(f"{path.name}: wanted {form} at all {begun} results tables - got {found}")
            raise typer.Exit(1)
        if check and new != old:
            typer.echo(f"{path.name}: a results table differs from benchmarks/results - wanted what `make tables` writes")
            raise typer.Exit(1)
        if not check:
            path.write_text(new)


def _renewed(place: re.Match[str]) -> str:
    result = read_json(ROOT / "benchmarks" / "results" / f"{place['name']}.json")
    columns = dict(_column(text) for text in place["metrics"].split(","))
    rows = [row for row in result["rows"] if _chosen(place["methods"], row["method"]) and _chosen(place["sets"], row["set"])]
    return f"{place[1]}\n{render(rows, columns)}\n`{result['command']}`, commit {result['commit'][:12]}\n\n<!-- end -->"


def _chosen(names: str | None, name: str) -> bool:
    return names is None or name in names.split("|")


def _column(text: str) -> tuple[str, str]:
    metric, _, head = text.strip().partition(" as ")
    return metric, head or metric


def render(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """One line per set and method, one column per metric: mean ± standard deviation (seeds)."""
    cells = {(row["set"], row["method"], row["metric"]): row for row in rows}
    lines = [["set", "method", *columns.values()], ["---"] * (2 + len(columns))]
    for group, method in dict.fromkeys((row["set"], row["method"]) for row in rows):
        values = [_cell(cells.get((group, method, metric.removesuffix(MS))), 1000 if metric.endswith(MS) else 1) for metric in columns]
        if any(values):
            lines.append([group, method, *values])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(row: dict[str, Any] | None, factor: float) -> str:
    if row is None:
        return ""
    spread = f" ± {_digits(factor * row['sd'])}" if row["seeds"] > 1 else ""
    return f"{_digits(factor * row['mean'])}{spread} ({row['seeds']})"


def _digits(value: float) -> str:
    return f"{value:.3f}" if 0.0005 <= abs(value) < 10 or value == 0 else f"{value:.3g}"


if __name__ == "__main__":
    typer.run(main)
