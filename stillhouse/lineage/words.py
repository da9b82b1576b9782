"""Lineage on a terminal: a tree, in which a thing that stands further up is not drawn again with all that hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stillhouse.lineage.walk import Tree

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree as Branches

SHORT = 10
"""Characters of a hash, a commit or a run on the screen; `--json` has all of them."""


def draw(tree: Tree, direction: str) -> Branches:
    """`direction` is the key of the branches, "inputs" or "outputs"."""
    from rich.tree import Tree as Branches

    root = Branches(_label(tree))
    _grow(root, tree, direction, set())
    return root


def summary(tree: Tree) -> str:
    """One line on the models that were made of a thing."""
    models = tree["models"]
    here = sum(model["here"] for model in models)
    return f"{len(models)} model{'s' * (len(models) != 1)} made of {tree['path']} {tree['hash'][:SHORT]}, {here} of them in place now"


def _grow(branch: Branches, tree: Tree, direction: str, seen: set[tuple[str, str]]) -> None:
    from rich.text import Text

    for each in tree[direction]:
        thing = each["path"], each["hash"]
        if thing in seen and each[direction]:
            branch.add(Text(f"{each['path']}  {each['hash'][:SHORT]}  (as above)", style="dim"))
            continue
        seen.add(thing)
        _grow(branch.add(_label(each)), each, direction, seen)


def _label(tree: Tree) -> Text:
    from rich.text import Text

    text = Text(tree["path"], style="bold")
    text.append(f"  {tree['hash'][:SHORT]}", style="yellow")
    if tree.get("here"):
        text.append("  in place now", style="green")
    for words, style in _facts(tree):
        text.append(f"\n{words}", style=style)
    return text


def _facts(tree: Tree) -> list[tuple[str, str]]:
    lines = []
    if tree["stage"]:
        run = f"run {tree['run'][:SHORT]}" if tree["run"] else "no run"
        commit = f"commit {tree['commit'][:SHORT]}" if tree["commit"] else "no commit"
        lines.append((f"{tree['stage']}, {run}, {commit}{' and changes on top' if tree['dirty'] else ''}", "dim"))
    if tree["parameters"]:
        lines.append((", ".join(f"{name} {value}" for name, value in tree["parameters"].items()), "cyan"))
    if tree["also"]:
        lines.append((f"the same bytes again from {', '.join(run[:SHORT] for run in tree['also'])}", "dim"))
    if tree["missing"]:
        lines.append((tree["missing"], "red"))
    return lines
