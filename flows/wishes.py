"""What a stage asks of the scheduler: by its `meta`, and by the parameters that DVC tracks for it how much of a machine it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillhouse.contracts import devices
from stillhouse.contracts.errors import UserError


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


def of(stage: Any) -> dict[str, Any]:
    """What `meta` asks of the scheduler; a stage on GPUs that splits its training asks for as many as it is split over.

    Raises:
        UserError: a value of the wrong kind.
    """
    meta = stage.meta or {}
    alone = _only_true(stage, meta)
    try:
        timeout, gpu = meta.get("timeout"), int(meta.get("gpu", 0))
        return {
            "gpu": max(gpu, processes(stage)) if gpu else 0,
            "threads": threads(stage),
            "workers": workers(stage),
            "memory": float(meta.get("memory", 0)),
            "retries": int(meta.get("retries", 0)),
            "timeout": None if timeout is None else float(timeout),
            "alone": alone,
        }
    except (TypeError, ValueError) as error:
        raise UserError(
            f"dvc.yaml: {stage.addressing}: meta wants numbers for gpu, memory (in GiB), retries and timeout (in seconds), got {meta}"
        ) from error


def _only_true(stage: Any, meta: Mapping[str, Any]) -> bool:
    if (value := meta.get("alone", True)) is not True:
        raise UserError(f"dvc.yaml: {stage.addressing}: meta.alone - wanted true, or no such line - got {value!r}")
    return "alone" in meta


def _params(stage: Any) -> list[Mapping[str, Any]]:
    return [dep.read_params() for dep in stage.deps if hasattr(dep, "read_params")]
