"""Models' folders, asked by a table as `stillhouse predict` does, and the tables that they are asked."""

from __future__ import annotations

import hashlib
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.csv as csv

from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.serving.model import Model
from stillhouse.serving.predict import predict, read
from stillhouse.training import table
from tests.fuzz.children import apart
from tests.fuzz.mutations.nodes import json_mutated
from tests.fuzz.reader import Reader
from tests.fuzz.reader import table as parquet
from tests.workloads.untrained import teacher


def _made(name: str) -> SimpleNamespace:
    """The files of an untrained teacher's folder, and the table that it is asked as an example."""
    with tempfile.TemporaryDirectory() as place:
        found = teacher(name, Path(place))
        table.keep(found.workload, found.prepared, found.teacher)
        files = {f"m/{path.relative_to(found.teacher)}": path.read_bytes() for path in sorted(found.teacher.rglob("*")) if path.is_file()}
        return SimpleNamespace(files=files, example=Model(found.teacher).example())


def _header(data: bytes, rng: random.Random) -> bytes:
    """Weights whose header says something else."""
    if data[:1] == b"{" or data[:4] == b"PAR1":
        return data
    size = int.from_bytes(data[:8], "little")
    header = json_mutated(data[8 : 8 + size], rng)
    told = rng.choice((len(header), len(header), len(header), 0, 2**40, 2**64 - 1, len(header) + 1))
    return struct.pack("<Q", told) + header + data[8 + size :]


def _summed(path: Path) -> None:
    """Hashes of all that lies there, so that only the checks behind them are left."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(path)}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.is_symlink()
    ]
    (path / sums.NAME).write_text("".join(lines))


def _asked(path: Path) -> object:
    model = Model(path)
    example = model.example()
    try:
        return list(model.predict(example))
    except UserError as error:  # told of rows: `predict` puts their file before it
        raise UserError(f"{path}: {error}") from None


def _asked_summed(path: Path) -> object:
    _summed(path)
    return _asked(path)


LONG = {"language": 20, "segment": 20, "detect": 20}
"""Of so many rows alone a model is asked that takes long for each: mutations repeat rows thousands of times."""


def _table(name: str) -> Callable[[Path], object]:
    """Predicts for a table with a model that is whole."""

    def ask(path: Path) -> object:
        model = path.parent / "model"
        for file, content in _MADE[name].files.items():
            place = model / file.removeprefix("m/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return _first(model, path, LONG[name]) if name in LONG else predict(model, path, path.parent / "out.parquet")

    return ask


def _first(folder: Path, path: Path, most: int) -> object:
    model = Model(folder)
    rows = read(path, model.names()).slice(0, most)
    try:
        return list(model.predict(rows))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _rows(name: str) -> list[dict[str, object]]:
    """The example, and what it leaves out: nodes that no graph had, with features and neighbours."""
    rows = _MADE[name].example.to_pylist()
    new = [{"node": node, "features": [0.5] * 16, "neighbours": [0, 601]} for node in (600, 601)]
    return [*rows, *new] if name == "static_nodes" else rows


def _csv(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink)
    return bytes(sink.getvalue())


_NAMES = (
    "queue",
    "knowledge",
    "classify",
    "language",
    "text_classes",
    "static_nodes",
    "static_edges",
    "static_graphs",
    "temporal",
    "segment",
    "detect",
)
_MADE = apart(lambda: {name: _made(name) for name in _NAMES})
_SUMS = b"".join(f"{hashlib.sha256(content).hexdigest()}  {name[2:]}\n".encode() for name, content in _MADE["queue"].files.items())

READERS: dict[str, Reader] = {
    **{f"model-{name}": Reader(made.files, _asked, (_header,)) for name, made in _MADE.items()},
    "model-summed": Reader(_MADE["queue"].files, _asked_summed, (_header,)),
    "model-sums": Reader({**_MADE["queue"].files, f"m/{sums.NAME}": _SUMS}, _asked),
    **{f"predict-{name}-parquet": Reader({"t.parquet": parquet(_rows(name))}, _table(name)) for name in _MADE},
    "predict-knowledge-csv": Reader({"t.csv": _csv(_MADE["knowledge"].example)}, _table("knowledge")),
    "predict-table-csv": Reader({"t.csv": _csv(_MADE["knowledge"].example)}, read),
}
