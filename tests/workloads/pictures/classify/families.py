"""Tiny networks of every family, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.classify import WORKLOAD

SIZES = {"channels": 3, "height": 8, "width": 8, "classes": 4}
IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INVERTED = [{"width": 4, "blocks": 2, "expansion": 1}, {"width": 6, "blocks": 3, "expansion": 2, "stride": 2}]
FAMILIES: dict[str, dict[str, Any]] = {
    "basic": {"family": "resnet", "stem": "small", "width": 4, "blocks": [2, 2]},
    "bottleneck": {"family": "resnet", "block": "bottleneck", "width": 3, "blocks": [2, 3]},
    "mobilenet": {"family": "mobilenet", "stem": 4, "stem_stride": 1, "head": 8, "stages": INVERTED},
    "efficientnet": {
        "family": "mobilenet",
        "stem": 4,
        "stem_stride": 1,
        "head": 8,
        "stages": [{**stage, "kernel": 5} for stage in INVERTED],
        "squeeze": 0.5,
        "activation": "silu",
    },
    "transformer": {"family": "transformer", "width": 6, "heads": 3, "hidden": 8, "layers": 3, "patch": 4},
}


def builder(block: dict[str, Any], sizes: dict[str, int] | None = None) -> Callable[[Architecture | None], nn.Module]:
    """Builds a network from settings as read from params.yaml."""
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python(block)
    return lambda architecture: WORKLOAD.model(settings, sizes or SIZES, architecture)
