"""Readers of pictures: with classes, masks and boxes, as folders and as tables; what is read is prepared too."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from PIL import Image

from stillhouse.workloads.pictures import classify, detect, segment
from tests.fuzz.mutations.coded import coded_mutated
from tests.fuzz.reader import Reader, table


def _prepared(part: Any, **settings: Any) -> Callable[[Path], object]:
    checked = part.WORKLOAD.prepare_settings.model_validate(settings)

    def read(raw: Path) -> object:
        folder = raw.parent / "prepared"
        folder.mkdir()
        return part.WORKLOAD.prepare(checked, raw, folder, torch.Generator().manual_seed(0))

    return read


def _picture(kind: str, mode: str, shade: int, size: tuple[int, int] = (8, 6)) -> bytes:
    sink = io.BytesIO()
    picture = Image.new("L", size, shade)
    picture.putpixel((1, 1), 0)
    picture.convert(mode).save(sink, kind)
    return sink.getvalue()


def _mask(seed: int) -> bytes:
    picture = Image.new("P", (8, 6), 0)
    picture.putpalette(bytes(range(9)))
    picture.putpixel((seed % 8, 3), 1)
    picture.putpixel((2, 5), 2)
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


def _cell(data: bytes, rng: random.Random) -> bytes:
    """A table of which one cell of bytes is another picture."""
    found = parquet.read_table(io.BytesIO(data))
    name = rng.choice([field.name for field in found.schema if pa.types.is_binary(field.type)])
    values = found.column(name).to_pylist()
    row = rng.randrange(len(values))
    values[row] = coded_mutated(values[row], rng)
    sink = io.BytesIO()
    parquet.write_table(found.set_column(found.column_names.index(name), name, pa.array(values)), sink)
    return sink.getvalue()


_PNG = [_picture("PNG", mode, shade) for mode, shade in (("L", 10), ("L", 99), ("P", 7), ("1", 255), ("LA", 40), ("RGBA", 90))]
_JPEG = [_picture("JPEG", mode, shade) for mode, shade in (("L", 10), ("RGB", 200), ("CMYK", 90), ("L", 33))]
_ANY = [*_PNG, *_JPEG]
_FORM = {"size": 8, "channels": 1}
_FORMS = {"size": [8, 8], "channels": 3}
_CLASSES = {
    f"raw/{name}/{number}.{'png' if content in _PNG else 'jpg'}": content
    for name, part in (("a", _ANY[::2]), ("b", _ANY[1::2]))
    for number, content in enumerate(part)
}
_SPLITS = {name.replace("raw", f"raw/{split}"): content for split in ("train", "val", "test") for name, content in _CLASSES.items()}
_LABELLED = [{"image": content, "label": row % 2, "split": ("train", "val", "test")[row // 4]} for row, content in enumerate(_ANY)]
_NAMED = [{"image": {"bytes": content, "path": "x"}, "label": "ab"[row % 2]} for row, content in enumerate(_ANY)]
_MASKED = {
    f"raw/{folder}/{number}.png": content for number in range(4) for folder, content in (("images", _PNG[number]), ("masks", _mask(number)))
}
_MASKS = [{"image": content, "mask": _mask(row), "id": f"m{row}"} for row, content in enumerate(_ANY)]
_BOX = {"xmin": 1.0, "ymin": 1.0, "xmax": 5.0, "ymax": 4.0, "label": 0}
_BOXED = [{"image": content, "boxes": [_BOX, {**_BOX, "label": 1}]} for content in _ANY]
_COCO = {
    "images": [{"id": number, "file_name": f"{number}.png", "height": 6, "width": 8} for number in range(4)],
    "annotations": [{"image_id": number, "category_id": 1 + number % 2, "bbox": [1, 1, 3, 4.5], "iscrowd": 0} for number in range(4)],
    "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
}
_XML = b"""<annotation><filename>x.jpg</filename><size><width>8</width><height>6</height></size>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>8</xmax><ymax>4</ymax></bndbox></object>
</annotation>"""
_VOC = {
    **{f"raw/Annotations/{number}.xml": _XML for number in range(4)},
    **{f"raw/JPEGImages/{number}.jpg": content for number, content in enumerate(_JPEG)},
    "raw/ImageSets/Main/train.txt": b"0\n1\n",
    "raw/ImageSets/Main/val.txt": b"2\n",
    "raw/ImageSets/Main/test.txt": b"3\n",
}
_NAMES = ("../0.png", "/etc/passwd", "/dev/zero", "", ".", "..", "a/../../0.png", "0.png\0", "x" * 5000, "é", "images", "\ud800", "a\nb")


def _file_name(data: bytes, rng: random.Random) -> bytes:
    """COCO's JSON of which a picture's name leads elsewhere."""
    if not data.startswith(b"{"):
        return coded_mutated(data, rng)
    found = json.loads(data)
    rng.choice(found["images"])["file_name"] = rng.choice(_NAMES)
    return json.dumps(found).encode()


_POINTER = Path("data/raw/digits.json").read_bytes()
_SCENES = {name: Path(f"data/raw/{name}.json").read_bytes() for name in ("scenes", "scene-boxes")}

READERS: dict[str, Reader] = {
    "classify-folder": Reader(_CLASSES, _prepared(classify, **_FORM)),
    "classify-folder-splits": Reader(_SPLITS, _prepared(classify, **_FORM)),
    "classify-folder-skip": Reader(_CLASSES, _prepared(classify, channels=3, bad="skip")),
    "classify-parquet": Reader({"c.parquet": table(_LABELLED)}, _prepared(classify, **_FORM), (_cell,)),
    "classify-parquet-named": Reader({"c.parquet": table(_NAMED)}, _prepared(classify, **_FORM)),
    "classify-json": Reader({"c.json": _POINTER}, _prepared(classify)),
    "segment-folder": Reader(_MASKED, _prepared(segment, **_FORMS)),
    "segment-folder-plain": Reader(_MASKED, _prepared(segment, channels=1)),
    "segment-parquet": Reader({"s.parquet": table(_MASKS)}, _prepared(segment, **_FORMS), (_cell,)),
    "segment-json": Reader({"s.json": _SCENES["scenes"]}, _prepared(segment)),
    "detect-parquet": Reader({"d.parquet": table(_BOXED)}, _prepared(detect, **_FORMS), (_cell,)),
    "detect-coco": Reader(
        {"raw/annotations.json": json.dumps(_COCO).encode(), **{f"raw/{number}.png": _PNG[number] for number in range(4)}},
        _prepared(detect, **_FORMS),
        (_file_name,),
    ),
    "detect-voc": Reader(_VOC, _prepared(detect, **_FORMS)),
    "detect-json": Reader({"d.json": _SCENES["scene-boxes"]}, _prepared(detect)),
}
