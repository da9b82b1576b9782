"""`stillhouse run --set`: what several combinations of settings gave, in one table and one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stillhouse.contracts.files import replace
from stillhouse.flows import sweep
from stillhouse.report import combinations
from stillhouse.report.combinations import Gave

PAGE = "sweep.html"


def run(folder: Path, words: Sequence[str], given: Sequence[str], at_once: int, dry: bool) -> int:
    """Runs all combinations and shows them; `words` are names and options of each run. The exit status is 1 if one failed.

    Raises UserError as `flows.sweep` does.
    """
    wanted, console = sweep.combinations(given), Console()
    heads = list(sweep.short(list(wanted[0].values)).values())
    if dry:
        console.print(_table(heads, [Gave(list(each.values.values()), {}, "would run") for each in wanted]))
        return 0
    console.print(f"{len(wanted)} combinations, {at_once} at once; what each says: {folder / sweep.PLACE}")
    results = list(sweep.Sweep(folder, words, console.print).run(wanted, at_once))
    gave = [Gave(list(result.combination.values.values()), result.reports, result.wrong) for result in results]
    console.print(_table(heads, gave))
    replace(folder / PAGE, lambda path: path.write_text(combinations.page(heads, gave), encoding="utf-8"))
    console.print(f"{PAGE} shows them; `dvc exp show` lists them, `dvc exp apply NAME` makes one the workspace's")
    return int(any(result.wrong for result in results))


def _table(heads: Sequence[str], gave: Sequence[Gave]) -> Table:
    table = Table(box=None)
    for head in ("#", *heads, *combinations.HEADS):
        table.add_column(head, overflow="fold")
    for row in combinations.rows(gave):
        table.add_row(*row)
    return table
