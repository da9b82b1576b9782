"""The training curve: every record of an epoch, passed on as it comes and written as CSV for `dvc plots`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from stillhouse.contracts.data import Log
from stillhouse.training.progress import Progress


class Curve:
    """A log that also remembers; with the `progress` of a training, across an interruption of it too."""

    def __init__(self, log: Log, progress: Progress | None = None) -> None:
        self._log = log
        self._rows: dict[int, Mapping[str, Any]] = {}
        if progress:
            progress.keep("curve", self)

    def __call__(self, record: Mapping[str, Any]) -> None:
        self._log(record)
        self._rows[record["epoch"]] = record

    def write(self, path: Path) -> None:
        """One row per epoch, one column per metric."""
        rows = [self._rows[epoch] for epoch in sorted(self._rows)]
        columns = list(dict.fromkeys(name for row in rows for name in row if name not in ("epochs", "seconds")))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows(rows)

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def facts(self) -> Mapping[str, Any]:
        return {"rows": list(self._rows.values())}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self._rows = {row["epoch"]: row for row in facts["rows"]}
