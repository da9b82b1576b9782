"""`stillhouse init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.project import create
from stillhouse.project.example import DEFAULT, EXAMPLES

Folder = Annotated[Path, typer.Argument(help="Where the project is to be; made if it does not exist.")]


def init(
    folder: Folder, example: Annotated[str, typer.Option(help=f"What it begins with: {', '.join(EXAMPLES)}.", metavar="NAME")] = DEFAULT
) -> None:
    """Make a project of your own, in which this library is a dependency."""
    for path in create.create(folder, example):
        print(f"written: {folder / path}")
    print(f"next: cd {shlex.quote(str(folder))} && git add . && git commit -m 'A new project' && stillhouse run")
