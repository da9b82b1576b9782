"""Tiny detectors of every family, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.detect import WORKLOAD

SIZES = {"channels": 3, "height": 22, "width": 26, "classes": 3}
"""Sides that are no multiples of a stride, so that maps are rounded up."""
IMAGE = torch.randn(2, 3, 22, 26, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BACKBONE = {"stem": "small", "width": 4, "blocks": [1, 2, 1]}
REST = {"pyramid": {"width": 5, "lowest": 1, "highest": 4}, "head": {"width": 4, "layers": 3}}
ANCHORS = {"sizes": [2.0, 3.0], "ratios": [0.7, 1.0]}
FAMILIES: dict[str, dict[str, Any]] = {
    "retinanet": {"family": "retinanet", "backbone": BACKBONE, **REST, "anchors": ANCHORS},
    "retinanet-giou": {"family": "retinanet", "backbone": {**BACKBONE, "block": "bottleneck"}, **REST, "box": "giou"},
    "fcos": {"family": "fcos", "backbone": BACKBONE, **REST},
    "fcos-dilated": {
        "family": "fcos",
        "backbone": {**BACKBONE, "dilated": 1},
        "pyramid": {"width": 4, "lowest": 0, "highest": 1},
        "head": {"width": 3, "layers": 2},
    },
}


def builder(block: dict[str, Any], sizes: dict[str, int] | None = None) -> Callable[[Architecture | None], nn.Module]:
    """Builds a network from settings as read from params.yaml."""
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python(block)
    return lambda architecture: WORKLOAD.model(settings, sizes or SIZES, architecture)
