"""`stillhouse predict`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A student or teacher, a model's folder, or models:/NAME/VERSION.")]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="A table that ends in .parquet or .csv.")]
Output = Annotated[Path, typer.Argument(metavar="OUTPUT", help="The predictions, a table that ends in .parquet.")]


def predict(model: Name, source: Input, destination: Output) -> None:
    """Predict for the rows of a table with a trained model alone, without the data that it was trained on."""
    project = Path.cwd()
    with suppress(UserError):  # a folder or a registered model needs no project
        project = graph.root(project)
    command = [sys.executable, "-m", "stillhouse.serving.predict", model, str(source), str(destination), "--project", str(project)]
    # The parts of the project, in the folder that the reader's paths are relative to.
    paths = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    raise typer.Exit(subprocess.call(command, env={**os.environ, "PYTHONPATH": paths}))
