"""Raw pictures with boxes, of several forms, read into one.

- A Parquet table, or a folder of such: image (the bytes of a coded picture), boxes (a list of xmin, ymin, xmax, ymax, label) and, if
  there is one, split. Names of classes may stand in its metadata.
- COCO: a JSON file with its pictures beside it, or a folder with such files, one per split (`read_coco.py`).
- Pascal VOC: a folder with Annotations and JPEGImages (`read_voc.py`).
- JSON that describes scenes of digits (`_shared/scenes.py`).

What has no splits is all of `train`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures._shared.scenes import read_scenes
from stillhouse.workloads.pictures._shared.shards import is_sharded
from stillhouse.workloads.pictures.detect.item import Item, Source
from stillhouse.workloads.pictures.detect.read_coco import read_coco
from stillhouse.workloads.pictures.detect.read_table import read_table
from stillhouse.workloads.pictures.detect.read_voc import read_voc


def read(raw: Path) -> Source:
    """Everything in `raw`. Raises UserError, naming file and place, at what cannot be read."""
    if (raw / "Annotations").is_dir():
        return read_voc(raw)
    if is_sharded(raw):
        return read_table(raw)
    if raw.is_dir():
        return read_coco(raw, sorted([*raw.glob("*.json"), *raw.glob("annotations/*.json")]), raw)
    if raw.suffix == ".parquet" and raw.is_file():
        return read_table(raw)
    if raw.suffix == ".json" and raw.is_file():
        content = read_json(raw, raw)
        return _scenes(raw) if isinstance(content, dict) and "generator" in content else read_coco(raw.parent, [raw], raw)
    got = "it is none of them" if raw.exists() else "there is nothing"
    raise UserError(f"{raw} - wanted a folder, .parquet or .json of pictures with boxes - {got}")


def _scenes(raw: Path) -> Source:
    def item(place: str, image: np.ndarray, boxes: np.ndarray, label: np.ndarray) -> Item:
        return Item(place, lambda: image, boxes, label, np.zeros(len(label), bool))

    splits = {
        split: [
            item(f"{raw}, {split} scene {number}", *parts)
            for number, parts in enumerate(zip(scenes.image, scenes.boxes, scenes.labels, strict=True))
        ]
        for split, scenes in read_scenes(raw).items()
    }
    return Source({**splits}, tuple(str(digit) for digit in range(10)))
