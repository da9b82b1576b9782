"""How much of a machine a stage takes, read off the parameters that DVC tracks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillhouse.contracts import devices


def threads(stage: Any) -> int:
    """CPU threads of all processes of a stage of DVC's."""
    found = [values.get("threads") for values in _params(stage)]
    return next((value for value in found if isinstance(value, int) and value > 0), 1) * processes(stage)


def processes(stage: Any) -> int:
    """How many processes compute in it, each on a device of its own: they split a training, or share the candidates of a search."""
    return max(map(devices.processes, _params(stage)), default=1)


def workers(stage: Any) -> int:
    """How many of them share the candidates of a search; 1 for any other stage."""
    return max(map(devices.workers, _params(stage)), default=1)


def _params(stage: Any) -> list[Mapping[str, Any]]:
    return [dep.read_params() for dep in stage.deps if hasattr(dep, "read_params")]
