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
from scipy.stats import t

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json, write_json

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".work" / "benchmarks"
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

    @property
    def done(self) -> bool:
        """Whether its metrics are there."""
        return (self.folder / "metrics.json").exists()


def measure(cells: Iterable[Cell], run: Callable[[Cell], dict[str, Metrics]]) -> list[Row]:
    """Runs every cell that is not yet measured; `run` gives set name -> metrics. Returns one row per set, method and metric.

    Ctrl-C ends the measuring: the rows are then those of the cells that are done, and say how many seeds they rest on.
    """
    gathered: dict[tuple[str, str, str], list[float]] = {}
    interrupted = False
    for cell in cells:
        if interrupted and not cell.done:
            continue
        try:
            values = list(_values(cell, run))
        except KeyboardInterrupt:
            interrupted = True
            continue
        for group, name, value in values:
            gathered.setdefault((group, cell.method, name), []).append(value)
    return [row(*key, values) for key, values in gathered.items()]


def _values(cell: Cell, run: Callable[[Cell], dict[str, Metrics]]) -> Iterator[tuple[str, str, float]]:
    if not cell.done:
        write_json(cell.folder / "metrics.json", run(cell))
        Console().print(f"{cell.set} {cell.method} seed {cell.seed}: done")
    for group, metrics in read_json(cell.folder / "metrics.json").items():
        for name, value in metrics.items():
            yield group, name, value


def row(group: str, method: str, metric: str, values: list[float]) -> Row:
    """Mean and sample standard deviation."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return {"set": group, "method": method, "metric": metric, "mean": fmean(values), "sd": spread, "seeds": len(values)}


def gains(cells: Iterable[Cell], over: str, metric: str) -> list[Row]:
    """Rows of `<metric>_gain`: how far each method of a set is above the method `over`, seed by seed, where both are measured."""
    found = {(cell.set, cell.method, cell.seed): _measured(cell, metric) for cell in cells if cell.done}
    ahead: dict[tuple[str, str], list[float]] = {}
    for (group, method, seed), value in found.items():
        if method != over and (group, over, seed) in found:
            ahead.setdefault((group, method), []).append(value - found[group, over, seed])
    return [row(group, method, f"{metric}_gain", values) for (group, method), values in ahead.items()]


def intervals(rows: Iterable[Row]) -> list[Row]:
    """Of rows of `gains` the half width of the 95 % interval of the mean, by Student's t, as `<metric>_95`; of one seed there is none."""
    return [
        each
        | {"metric": f"{each['metric']}_95", "mean": float(t.ppf(0.975, each["seeds"] - 1)) * each["sd"] / each["seeds"] ** 0.5, "sd": 0.0}
        for each in rows
        if each["seeds"] > 1
    ]


def compared(cells: Iterable[Cell], over: str, title: str) -> list[Row]:
    """Gains in accuracy over a method as the metric `title`, and half their 95 % intervals as `<title>_95`."""
    found = [entry | {"metric": title} for entry in gains(cells, over, "accuracy")]
    return found + intervals(found)


def _measured(cell: Cell, metric: str) -> float:
    return float(read_json(cell.folder / "metrics.json")[cell.set][metric])
