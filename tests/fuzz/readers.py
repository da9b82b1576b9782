"""The readers that are fuzzed: a valid file of each form, and how it is read."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from stillhouse.runner.entries import Entries
from stillhouse.workloads.graphs.knowledge import read as knowledge
from stillhouse.workloads.queue import read as queue
from tests.fuzz.reader import Reader


def _table(rows: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def _params(path: Path) -> object:
    entries = Entries.read(path)
    return entries.seed, entries.threads, list(entries.stages()), entries.pairs()


def _queue(path: Path) -> object:
    return queue.read(path, None)


_QUEUE = [{"load": 2.5, "state": state, "count": 3, "split": "light"} for state in range(3)]
_PARAMS = b"seed: 0\nthreads: 1\nteachers:\n  t: &a\n    raw: data\n    prepare: {}\nstudents:\n  s:\n    teacher: t\n    distill: {}\n"

READERS: dict[str, Reader] = {
    "queue-csv": Reader({"q.csv": b",time,callrate,Q=0,Q=1,Q=2\n0,1,10,5,3,2\n1,2,20,4,4,12\n"}, _queue),
    "queue-parquet": Reader({"q.parquet": _table(_QUEUE)}, _queue),
    "params": Reader({"params.yaml": _PARAMS}, _params),
    "triples": Reader(
        {"train.txt": b"a\tr\tb\nb\tr\tc\nNew York\tpart of\tUSA\n"}, lambda path: knowledge.parse(path.read_bytes(), f"{path}")
    ),
}
