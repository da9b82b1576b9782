"""What a model shows of itself: its own example, once it has predicted for it, and the columns of what it predicts.

To find it out takes PyTorch, which whoever packs a model can do without otherwise.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.hidden import hide


@dataclass(frozen=True)
class Shown:
    """`workload` is the name by which the workload of the model is found."""

    workload: str
    example: pa.Table
    predicted: pa.Schema


def of(folder: Path) -> Shown:
    """What the model in a folder shows, found by another process where PyTorch is not loaded yet.

    Raises UserError if its workload reads no tables or the folder is not whole.
    """
    return find(folder) if "torch" in sys.modules else ask(folder)


def find(folder: Path) -> Shown:
    """The same, found here."""
    from stillhouse.serving.model import Model

    model = Model(folder)
    example = model.example()
    return Shown(model.table.workload, example, pa.concat_tables(model.predict(example)).schema)


def ask(folder: Path) -> Shown:
    """The same, found by another process, whose words are those of the UserError."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "shown.json"
        command = [sys.executable, "-m", "stillhouse.serving", str(folder), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(done.stderr.strip() or f"{folder} - wanted a model that predicts for its own example - its process was ended")
        told = read_json(file)
    with pa.ipc.open_stream(base64.b64decode(told["example"])) as example:
        return Shown(told["workload"], example.read_all(), pa.ipc.read_schema(pa.py_buffer(base64.b64decode(told["predicted"]))))


def main(arguments: Sequence[str]) -> int:
    """Writes what the model of a folder shows to a file: `python -m stillhouse.serving FOLDER FILE`. Returns the exit status."""
    folder, file = map(Path, arguments)
    try:
        shown = find(folder)
    except UserError as error:
        print(hide(str(error)), file=sys.stderr)
        return 2
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, shown.example.schema) as stream:
        stream.write_table(shown.example)
    told = {"example": sink.getvalue(), "predicted": shown.predicted.serialize()}
    write_json(file, {"workload": shown.workload, **{name: base64.b64encode(value).decode() for name, value in told.items()}})
    return 0
