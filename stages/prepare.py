"""prepare: raw data into parquet, byte for byte the same whenever it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings

SETTINGS = None
"""The whole block belongs to the workload's own `prepare_settings`."""


def prepare(settings: Settings, workload: Workload[Any], *, raw: Path, prepared: Path, rng: torch.Generator, log: Log) -> Metrics:
    """Reads `raw` and fills the folder `prepared`; returns facts about the data."""
    prepared.mkdir(parents=True, exist_ok=True)
    facts = workload.prepare(settings, raw, prepared, rng)
    log(facts)
    return facts
