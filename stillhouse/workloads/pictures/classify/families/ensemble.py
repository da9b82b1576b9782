"""Several trained networks as one teacher, or a student that teaches in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.training.ensemble import Ensemble, EnsembleSettings, ensemble


def together(settings: EnsembleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Ensemble:
    """Of networks of this workload."""
    return ensemble(settings, sizes, architecture, _network)


def _network(model: Any, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    from stillhouse.workloads.pictures.classify import FAMILIES  # which is made of this family too

    return FAMILIES.model(TypeAdapter(FAMILIES.settings).validate_python(model), sizes, architecture)


FAMILY = Family(EnsembleSettings, together)
