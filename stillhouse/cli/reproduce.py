"""`stillhouse reproduce`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.flows import graph
from stillhouse.lineage import Tree, backward, rebuild
from stillhouse.lineage.rebuild import Pair
from stillhouse.lineage.words import SHORT

DIFFERENT = 4
Model = Annotated[str, typer.Argument(help="A student or teacher, models:/NAME/VERSION or models:/NAME@ALIAS, a run, a path or a hash.")]


def reproduce(
    model: Model,
    patch: Annotated[bool, typer.Option("--patch", help="Apply the changes that were not committed when it was made.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the worktree for a look at it.")] = False,
) -> None:
    """Make a model again from its commit and raw data, beside this folder, and say whether the bytes are the same (0) or not (4)."""
    # A polite request to end and Ctrl-C are then one thing, and both clean up; a shell starts background jobs with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = graph.root(Path.cwd())
    tree = backward(folder, model)
    rebuild.refuse(tree, patched=patch)
    with rebuild.worktree(folder, tree, patched=patch, keep=keep) as project:
        rebuild.run(project, tree)
        pairs = rebuild.compare(project, tree)
        if keep:
            print(f"kept: {project} (git worktree remove --force {project} removes it)")
    _show(pairs)
    same = pairs[-1].same
    print(_verdict(tree, pairs))
    raise typer.Exit(0 if same else DIFFERENT)


def _show(pairs: list[Pair]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("what", "then", "now", ""):
        table.add_column(column, overflow="fold")
    for pair in pairs:
        table.add_row(pair.path, pair.recorded[:SHORT], pair.now[:SHORT] or "(nothing)", "same" if pair.same else "different")
    Console(soft_wrap=True).print(table)


def _verdict(tree: Tree, pairs: list[Pair]) -> str:
    if pairs[-1].same:
        return f"the same bytes: {tree['path']} {tree['hash']}"
    first = next(pair for pair in pairs if not pair.same)
    device = tree["machine"].get("device", "")
    reasons = rebuild.moved(tree) + ([f"made on {device}"] if device else [])
    return f"other bytes, from {first.path} on" + (f" ({'; '.join(reasons)})" if reasons else "")
