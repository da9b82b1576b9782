"""Repeated measurements: one cell is a set, a method and a seed; finished cells are kept, so a benchmark can be interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console

from stages.core.files import read_json, write_json
from stages.core.kinds import Metrics

WORK = Path(__file__).parent.parent / ".work" / "benchmarks"
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One measurement to be made; `settings` is everything that can change its result."""

    set: str
    method: str
    seed: int
    settings: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where it works and leaves its metrics."""
        key = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
        return WORK / f"{self.set}-{self.method}-{self.seed}-{key}"


def measure(cells: Iterable[Cell], run: Callable[[Cell], dict[str, Metrics]]) -> list[Row]:
    """Runs every cell that is not yet measured; `run` gives set name -> metrics. Returns one row a set, method and metric."""
    gathered: dict[tuple[str, str, str], list[float]] = {}
    for cell in cells:
        for group, name, value in _values(cell, run):
            gathered.setdefault((group, cell.method, name), []).append(value)
    return [row(*key, values) for key, values in gathered.items()]


def _values(cell: Cell, run: Callable[[Cell], dict[str, Metrics]]) -> Iterator[tuple[str, str, float]]:
    path = cell.folder / "metrics.json"
    if not path.exists():
        write_json(path, run(cell))
        Console().print(f"{cell.set} {cell.method} seed {cell.seed}: done")
    for group, metrics in read_json(path).items():
        for name, value in metrics.items():
            yield group, name, value


def row(group: str, method: str, metric: str, values: list[float]) -> Row:
    """Mean and sample standard deviation."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return {"set": group, "method": method, "metric": metric, "mean": fmean(values), "sd": spread, "seeds": len(values)}
