"""The training curve: every record of an epoch, passed on as it comes and written as CSV for `dvc plots`."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.contracts.data import Log


class Curve:
    """A log that also remembers, across an interruption too if it has a scratch folder."""

    def __init__(self, log: Log, scratch: Path | None = None) -> None:
        self._log = log
        self._path = scratch / "curve.jsonl" if scratch else None
        kept = self._path.read_text().splitlines() if self._path and self._path.exists() else []
        self._rows: dict[int, Mapping[str, Any]] = {row["epoch"]: row for row in map(json.loads, kept)}

    def __call__(self, record: Mapping[str, Any]) -> None:
        self._log(record)
        self._rows[record["epoch"]] = record
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def write(self, path: Path) -> None:
        """One row per epoch, one column per metric."""
        rows = [self._rows[epoch] for epoch in sorted(self._rows)]
        columns = list(dict.fromkeys(name for row in rows for name in row if name not in ("epochs", "seconds")))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows(rows)
