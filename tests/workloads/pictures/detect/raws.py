"""Pictures with boxes as files of every form."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image

SCENES = Path(__file__).parents[4] / "data/raw/scene-boxes.json"
Box = tuple[float, float, float, float, int]
BOXES: list[list[Box]] = [[(1, 2, 7, 6, 0)], [], [(0, 0, 3.5, 2, 1), (2, 2, 10, 8, 0)], [(4, 4, 6, 6, 2)], [(1, 1, 9, 7, 1)]] * 2
"""The boxes of ten pictures of ten by eight pixels."""
BOX = pa.struct([(name, pa.float32()) for name in ("xmin", "ymin", "xmax", "ymax")] + [("label", pa.int32())])


def pictures(count: int, *, height: int = 8, width: int = 10) -> np.ndarray:
    """(count, height, width, 3), uint8"""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def coded(picture: np.ndarray) -> bytes:
    """The bytes of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def table(path: Path, images: list[bytes], boxes: list[list[Box]], splits: list[str] | None = None, names: Any = None) -> Path:
    """A Parquet file."""
    rows = [[dict(zip(("xmin", "ymin", "xmax", "ymax", "label"), box, strict=True)) for box in picture] for picture in boxes]
    columns: dict[str, Any] = {"image": pa.array(images, pa.binary()), "boxes": pa.array(rows, pa.list_(BOX))}
    made = pa.table(columns | ({"split": splits} if splits else {}))
    parquet.write_table(made.replace_schema_metadata({"dataset": json.dumps({"classes": names})} if names else None), path)
    return path


def coco(numbers: list[int], boxes: list[list[Box]], **more: Any) -> dict[str, Any]:
    """The content of a file; ids and categories do not begin at nought, and stand in no order."""
    annotations = [
        {"image_id": 100 + image, "category_id": 30 - 10 * label, "bbox": [left, top, right - left, bottom - top], "area": 0, "id": 1}
        for image, found in zip(numbers, boxes, strict=True)
        for left, top, right, bottom, label in found
    ]
    files = [{"id": 100 + image, "file_name": f"{image}.png", "height": 8, "width": 10} for image in numbers]
    categories = [{"id": 30 - 10 * label, "name": name} for label, name in enumerate(("cat", "bee", "ant"))]
    return {"images": files, "annotations": annotations, "categories": categories} | more


def voc(objects: list[tuple[str, float, float, float, float, int]]) -> str:
    """The text of a file: name, xmin, ymin, xmax, ymax, difficult."""
    lines = ["<annotation>", "  <size><width>10</width></size>"]
    for name, left, top, right, bottom, difficult in objects:
        lines += ["  <object>", f"    <name>{name}</name><difficult>{difficult}</difficult>"]
        lines += [f"    <bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>", "  </object>"]
    return "\n".join([*lines, "</annotation>"])


def folder(path: Path, files: dict[str, bytes | str]) -> Path:
    """Files by their path."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
