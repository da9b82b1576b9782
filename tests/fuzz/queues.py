"""Readers of observations of queues."""

from __future__ import annotations

import json
from pathlib import Path

from stillhouse.workloads.queue import read as queue
from tests.fuzz.reader import Reader, table


def _read(path: Path) -> object:
    return queue.read(path, None)


_ROWS = [{"load": 2.5, "state": state, "count": 3, "split": "light", "sample": 0} for state in range(3)]
_SIMULATION = {
    "generator": "queue",
    "states": 4,
    "servers": 1,
    "rates": [25.0, 1.0],
    "light": [11.0, 12.0],
    "light_samples": 2,
    "heavy": [31.0, 40.0],
    "heavy_samples": 1,
    "duration": 1.0,
    "slack": 30.0,
    "seed": 0,
}

READERS: dict[str, Reader] = {
    "queue-csv": Reader({"q.csv": b",time,callrate,Q=0,Q=1,Q=2\n0,1,10,5,3,2\n1,2,20,4,4,12\n"}, _read),
    "queue-parquet": Reader({"q.parquet": table(_ROWS)}, _read),
    "queue-json": Reader({"q.json": json.dumps(_SIMULATION).encode()}, _read),
    "queue-states": Reader({"q.csv": b"callrate,Q=0,Q=1,Q=2\n10,5,3,2\n20,4,4,12\n"}, lambda path: queue.read(path, 2)),
}
