"""`stillhouse inspect`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph

Name = Annotated[str, typer.Argument(metavar="TEACHER", help="A teacher of params.yaml, trained or not.")]


def inspect(name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False) -> None:
    """Show what a search may make smaller in a teacher's network, what that would save, and what is left whole and why."""
    folder = graph.root(Path.cwd())
    # In a process of its own: the network's code may print and set what it likes.
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "stillhouse.runner.inspect", name]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(hide(done.stderr.strip()), file=sys.stderr)
        raise typer.Exit(done.returncode)
    facts = json.loads(done.stdout.splitlines()[-1])
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{facts['name']}: {facts['parameters']:,.0f} parameters, {facts['macs']:,.0f} MACs"
    table = Table("group", "kind", "size", "parameters", "MACs", title=title)
    for group in facts["groups"]:
        shares = (f"{group[name]:.1%}" for name in ("parameters", "macs"))
        table.add_row(group["name"], group["kind"], str(group["size"]), *shares)
    console = Console()
    console.print(table)
    if facts["left_whole"]:
        left = Table("left whole", "stopped by")
        for name, reason in facts["left_whole"].items():
            left.add_row(name, reason)
        console.print(left)
