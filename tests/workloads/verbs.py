"""The verbs in a folder of a test, from a params.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Workload
from stillhouse.runner import params
from stillhouse.training import machine


class Verbs:
    """A params.yaml with its raw data, and a place for everything that the verbs of a workload write."""

    def __init__(self, workload: Workload[Any], file: Path, raw: Path) -> None:
        self.workload, self.file, self.folder, self.raw = workload, file, file.parent, raw

    def run(self, verb: Callable[..., Metrics], name: str, *places: str, part: str = "") -> Metrics:
        """Calls a verb on the block of that name; `part` is the setting that names its search, its losses or its evaluations."""
        params.check(self.file)
        block = params.read(self.file, verb.__name__, name)
        paths = {place: self.raw if place == "raw" else self.folder / place for place in places}
        parts = [block.parts[part]] if part else []
        return verb(block.settings, self.workload, *parts, **paths, rng=machine.seed(0), log=lambda record: None)
