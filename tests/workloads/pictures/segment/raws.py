"""Random pictures with masks as files, and tiny networks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from PIL import Image
from pydantic import TypeAdapter
from torch import nn

from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.segment import WORKLOAD

SCENES = Path(__file__).parents[4] / "data/raw/scenes.json"
SIZES = {"channels": 3, "height": 16, "width": 24, "classes": 4}
IMAGE = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NETWORKS: dict[str, dict[str, Any]] = {
    "basic": {"stem": "small", "width": 4, "blocks": [2, 2, 2], "dilated": 1, "bins": [1, 2, 3], "head": 5},
    "bottleneck": {"block": "bottleneck", "width": 2, "blocks": [2, 2, 2], "dilated": 2, "bins": [1, 2], "head": 4},
}


def builder(block: dict[str, Any], sizes: dict[str, int] | None = None) -> Callable[[Architecture | None], nn.Module]:
    """Builds a network from settings as read from params.yaml."""
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python(block)
    return lambda architecture: WORKLOAD.model(settings, sizes or SIZES, architecture)


def pixels(count: int, *, channels: int = 3, height: int = 6, width: int = 5, seed: int = 0) -> np.ndarray:
    """(count, channels, height, width), uint8"""
    return np.random.default_rng(seed).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def masks(count: int, *, classes: int = 3, height: int = 6, width: int = 5, seed: int = 0) -> np.ndarray:
    """(count, height, width), uint8"""
    return np.random.default_rng(seed).integers(0, classes, (count, height, width), dtype=np.uint8)


def coded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of a file of (channel, height, width) or (height, width)."""
    stream = io.BytesIO()
    Image.fromarray(picture if picture.ndim == 2 else picture.transpose(1, 2, 0).squeeze()).save(stream, kind)
    return stream.getvalue()


def table(path: Path, images: list[bytes], numbers: list[bytes], facts: dict[str, Any] | None = None, **columns: list[str]) -> Path:
    """A Parquet file."""
    content = pa.table({"image": pa.array(images, pa.binary()), "mask": pa.array(numbers, pa.binary()), **columns})
    parquet.write_table(content.replace_schema_metadata({"dataset": json.dumps(facts)} if facts else None), path)
    return path


def folder(path: Path, contents: dict[str, bytes]) -> Path:
    """Files by their path."""
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path
