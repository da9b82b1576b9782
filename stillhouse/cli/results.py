"""What `stillhouse run` shows when all is done."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stillhouse.contracts.hidden import hide
from stillhouse.runner.entries import PARAMS, Entries


def show(folder: Path, *, compared: bool = True) -> None:
    """The comparison, if there is one, and where the rest is; of students who are gone neither, and of an older one it is said."""
    comparison, reports = folder / "data" / "comparison" / "table.md", folder / "data" / "reports"
    if students(folder):
        if comparison.exists():
            _print_markdown(comparison.read_text(encoding="utf-8"))
            if not compared:
                print("compared before this run: `stillhouse run compare` does it anew")
        if reports.exists():
            print(f"reports: {reports}")
    print(f"MLflow: {hide(os.environ.get('MLFLOW_TRACKING_URI', f'sqlite:///{folder}/mlflow.db'))}")


def students(folder: Path) -> bool:
    """Whether params.yaml has any: without them no comparison is made, and one that lies there is of others. UserError as `Entries`."""
    return bool(Entries.read(folder / PARAMS).values.get("students"))


def _print_markdown(text: str) -> None:
    """As a table on a terminal; anywhere else as it is, which reads well too and is not cut to a width."""
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console

    from stillhouse.cli.columns import fitting

    console = Console()
    drawn, left_out = fitting(text, console.width)
    console.print(drawn, soft_wrap=True)
    if left_out:
        console.print(f"not shown for want of width: {', '.join(left_out)} (data/comparison/table.md)")
