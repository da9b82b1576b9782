"""Which part of a search a stage is, where stages on several machines share its candidates, and where these lie."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_TOLD = "STILLHOUSE_PART"
"""The environment variable by which a stage is told, as JSON."""
CANDIDATES = Path("checkpoint/candidates")
"""Where they lie in a stage's scratch folder."""


@dataclass(frozen=True)
class Part:
    """Which of `count` stages this one is, from 0 on, the first being the one that writes; the stage, and the result's fingerprint."""

    number: int
    count: int
    stage: str
    key: str

    def environment(self) -> Mapping[str, str]:
        """What tells it a stage."""
        return {_TOLD: json.dumps(asdict(self))}


def mine() -> Part | None:
    """What this process was told, None if it shares nothing with other machines."""
    told = os.environ.get(_TOLD)
    return Part(**json.loads(told)) if told else None
