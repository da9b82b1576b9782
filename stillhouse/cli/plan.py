"""`stillhouse plan`: what would run and why, which `stillhouse run` asks first too."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli import sources
from stillhouse.cli.settle import Check, check_alone, settle
from stillhouse.flows import cores, estimate, graph
from stillhouse.flows.graph import Node
from stillhouse.project import version
from stillhouse.runner.entries import Entries

STALE = 3
SHOWN = 5
"""Reasons in the table; `--json` has all."""

Names = Annotated[list[str] | None, typer.Argument(help="Teachers, students or stages, with all that they need; everything by default.")]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help="Pass over what is not there but is otherwise as dvc.lock has it, as in a clone before `dvc pull`. "
        "Example: stillhouse plan --allow-missing.",
    ),
]


def plan(
    names: Names = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    allow_missing: AllowMissing = False,
) -> None:
    """Show what would run and why, and run nothing; the exit code is 3 if anything is due."""
    folder = enter()
    version.check(folder)
    nodes = planned(folder, names or [], allow_missing=allow_missing)
    if as_json:
        print(json.dumps([dataclasses.asdict(node) for node in nodes], indent=1))
    else:
        show(nodes, folder)
    raise typer.Exit(STALE if any(node.state != "unchanged" for node in nodes) else 0)


def enter() -> Path:
    """Goes to the project's folder, so that the command works in every folder below it."""
    folder = graph.root(Path.cwd())
    os.chdir(folder)
    return folder


def planned(
    folder: Path, names: Sequence[str], *, force: bool = False, allow_missing: bool = False, check: Check = check_alone
) -> tuple[Node, ...]:
    entries = Entries.read()
    sources.require_shared(entries)
    selected = graph.select(graph.read(folder, allow_missing=allow_missing), names)
    if force:
        selected = graph.force(selected, [node.name for node in selected if not node.name.endswith(".dvc")])
    sources.require(selected)
    settled = settle(selected, check)
    for sentence in sources.retrained(entries):
        print(f"warning: {sentence}", file=sys.stderr)
    return settled


def show(nodes: Sequence[Node], folder: Path) -> None:
    stale = [node for node in nodes if node.state != "unchanged"]
    if stale:
        _print_plan(stale, len(nodes))
        print(f"time to run: {estimate.words(stale, estimate.expected(folder, stale), cores.at_once(nodes))}")
    else:
        print(f"nothing is due: {len(nodes)} stages are up to date")


def _print_plan(nodes: Sequence[Node], total: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table, console = Table(box=None, pad_edge=False), Console()
    for column in ("stage", "state", "why"):
        table.add_column(column, overflow="fold")
    for node in nodes:
        hidden = len(node.reasons) - SHOWN
        more = [f"and {hidden} more"] if hidden > 0 else []
        table.add_row(node.name, node.state, "\n".join([*node.reasons[:SHOWN], *more]))
    console.print(table)
    console.print(f"{len(nodes)} of {total} stages; kept: the result is known and only put in place; maybe: runs only if a stage before it")
    console.print("gives something new")
