"""`stillhouse report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import graph

Output = Annotated[Path | None, typer.Option("--output", help="The page to write; report.html in the project's folder by default.")]


def report(output: Output = None) -> None:
    """Write all results, and what changed since the last report, to one page that needs nothing but itself."""
    from flows.report import write

    folder = graph.root(Path.cwd())
    print(f"report: {write(folder, output or folder / 'report.html')}")
