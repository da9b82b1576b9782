"""`stillhouse lineage`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli import outputs
from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph
from stillhouse.lineage import Tree, picture, words
from stillhouse.lineage import backward as back
from stillhouse.lineage import forward as ahead

What = Annotated[str, typer.Argument(help="A student or teacher, models:/NAME/VERSION or models:/NAME@ALIAS, a run, a path or a hash.")]


def lineage(
    what: What,
    forward: Annotated[bool, typer.Option("--forward", help="What was made of it, not what it was made of.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write a picture to this file.")] = None,
) -> None:
    """Show what a model was made of, or what was made of some data, in all branches and past executions."""
    outputs.check(svg, ".svg")
    folder = graph.root(Path.cwd())
    tree = ahead(folder, what) if forward else back(folder, what)
    direction = "outputs" if forward else "inputs"
    if svg:
        _write(svg, picture.svg(tree, direction))
    if as_json:
        print(json.dumps(tree, indent=1))
    elif not svg:
        _show(tree, direction)


def _show(tree: Tree, direction: str) -> None:
    from rich.console import Console

    console = Console()
    console.print(words.draw(tree, direction))
    if direction == "outputs":
        console.print(words.summary(tree))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path} - wanted a place to write to - {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
