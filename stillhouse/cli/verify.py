"""`stillhouse verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.flows import graph, opening
from stillhouse.runner.entries import Entries

if TYPE_CHECKING:
    from stillhouse.record.verify import Report, Tell

Names = Annotated[list[str] | None, typer.Argument(help="Teachers, students or stages, with all that they need; everything by default.")]


def verify(
    names: Names = None, dry: Annotated[bool, typer.Option("--dry", help="Only tell what has rotted; change nothing.")] = False
) -> None:
    """Hash all kept bytes again, in the workspace and in DVC's cache, and mend what has rotted; 1 if something is left to be mended."""
    folder = graph.root(Path.cwd())
    os.chdir(folder)
    Entries.read()  # without which DVC would say that dvc.yaml is wrong
    wanted = {node.name for node in graph.select(graph.read(folder), names)} if names else None
    from stillhouse.record import verify as record

    with opening.alone(folder), graph.at_rest(folder), _progress() as tell:
        report = record.verify(folder, wanted, mend=not dry, tell=tell)
    _show(report)
    raise typer.Exit(0 if report.sound else 1)


def _show(report: Report) -> None:
    for damage in report.damages:
        print(f"{damage.path}: {damage.text}")
    for line in report.missing:
        print(f"missing: {line}")
    mended = sum(damage.mended for damage in report.damages)
    left = f"{len(report.damages)} damaged, {mended} mended" if report.damages else "all sound"
    print(f"{report.files} files hashed ({report.size / 1e6:.1f} MB): {left}")


@contextmanager
def _progress() -> Iterator[Tell]:
    """Shows the share of bytes hashed, on a terminal alone."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("hashing", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
