"""`stillhouse export`."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.flows import graph


class Format(StrEnum):
    """What a student may leave as."""

    onnx = "onnx"
    pt2 = "pt2"
    safetensors = "safetensors"
    transformers = "transformers"


class Bits(StrEnum):
    """What its numbers may become."""

    int8 = "int8"


Name = Annotated[str, typer.Argument(metavar="STUDENT", help="A trained student.")]
To = Annotated[Format, typer.Option("--to", help="The format. Example: stillhouse export digits-dms --to onnx.")]
Quantise = Annotated[Bits | None, typer.Option("--quantise", help="Eight bits for weights and activations, with --to onnx.")]
Cache = Annotated[bool, typer.Option("--cache", help="A language model with the keys and values of earlier tokens, with --to onnx or pt2.")]
Tolerance = Annotated[
    float | None, typer.Option(min=0, help="The largest difference from PyTorch, as a share of the largest number, that is written.")
]
Out = Annotated[Path | None, typer.Option(help="The folder to write; exports/STUDENT/FORMAT by default.")]


def export(student: Name, to: To, quantise: Quantise = None, cache: Cache = False, tolerance: Tolerance = None, out: Out = None) -> None:
    """Write a student for another runtime, if it answers there as it does here; the exit code is 2 if it does not."""
    project = graph.root(Path.cwd())
    command = [sys.executable, "-m", "stillhouse.runtimes.export", student, "--to", to, "--project", str(project)]
    command += ["--quantise", quantise] if quantise else []
    command += ["--cache"] if cache else []
    command += ["--tolerance", str(tolerance)] if tolerance is not None else []
    command += ["--out", str(out)] if out else []
    # The parts of the project, in the folder that the reader's paths are relative to.
    paths = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    raise typer.Exit(subprocess.call(command, env={**os.environ, "PYTHONPATH": paths}))
