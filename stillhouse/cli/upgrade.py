"""`stillhouse upgrade`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.flows import graph
from stillhouse.project import upgrade as project
from stillhouse.project import version


class Pipeline(Enum):
    """What becomes of a dvc.yaml that was edited by hand."""

    ASK = "ask"
    KEEP = "keep"
    REPLACE = "replace"


def upgrade(pipeline: Annotated[Pipeline, typer.Option(help="What to do with a dvc.yaml that was edited by hand.")] = Pipeline.ASK) -> None:
    """Go on with the installed version of the library, and say what becomes due."""
    folder = graph.root(Path.cwd())
    graph.read(folder)  # a stage that runs now must end with the version that it began with
    before = project.upgrade(folder, pipeline.value)
    print(f"{before} -> {version.installed()}")
    nodes = graph.read(folder)
    stale = [node.name for node in nodes if node.state != "unchanged"]
    print(f"due: {', '.join(stale)} (`stillhouse plan` says why)" if stale else f"nothing is due: {len(nodes)} stages are up to date")
