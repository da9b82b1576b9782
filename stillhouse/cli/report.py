"""`stillhouse report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli import outputs, results
from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph

Output = Annotated[Path | None, typer.Option("--output", help="The page to write; report.html in the project's folder by default.")]

Picture = Annotated[Path | None, typer.Option("--picture", help="Also draw its upper part to this PNG file, by the Chromium on the PATH.")]


def report(output: Output = None, picture: Picture = None) -> None:
    """Write which students to take, all results, and what changed since the last report to one page that needs nothing but itself."""
    from stillhouse.report import browser, write

    outputs.check(output, ".html")
    outputs.check(picture, ".png")
    folder = graph.root(Path.cwd())
    if not results.students(folder):
        raise UserError("params.yaml: students - wanted those that are reported on - got none: results that lie in data are of others")
    page = write(folder, output or folder / "report.html")
    print(f"report: {page}")
    if picture:
        print(f"picture: {browser.picture(page, picture)}")
