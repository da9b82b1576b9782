"""Blood cells on seeds that had no part in the choices of `bccd`: what each loss gains over the student alone of its seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import bccd
from benchmarks._cells import Row, gains
from benchmarks._choices import recorded, unnamed

name = "bccd_gains"
expected_seconds = 3200
needs_data = True
settings: dict[str, Any] = bccd.settings | {"seeds": [3, 4, 5, 6]}


def run(data: Path) -> list[Row]:
    """`data` holds bccd-320/bccd-320.parquet. Weights are those in the results of `bccd`, from seeds of its own."""
    chosen = recorded(bccd.name)
    losses = {row["method"]: [row["mean"]] for row in chosen}
    cells = [cell for seed in settings["seeds"] for cell in bccd.cells(seed, losses)]
    rows = [row for row in bccd.measured(data, cells) if row["metric"] in ("map", "map_50", "valid")]
    rows += [row for metric in ("map", "valid") for row in gains(cells, "retinanet->alone", metric)]
    return [unnamed(row) for row in rows + chosen]
