"""Random pictures as files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image

DIGITS = Path(__file__).parents[4] / "data/raw/digits.json"


def pixels(count: int, *, channels: int = 3, height: int = 6, width: int = 5, seed: int = 0) -> np.ndarray:
    """(count, channels, height, width), uint8"""
    return np.random.default_rng(seed).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def coded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of a file."""
    array = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def table(path: Path, images: list[bytes], labels: list[int | None], splits: list[str] | None = None) -> Path:
    """A Parquet file."""
    columns: dict[str, object] = {"image": pa.array(images, pa.binary()), "label": pa.array(labels, pa.int32())}
    parquet.write_table(pa.table(columns | ({"split": splits} if splits else {})), path)
    return path


def folder(path: Path, images: dict[str, bytes]) -> Path:
    """Files by their path."""
    for name, content in images.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path
