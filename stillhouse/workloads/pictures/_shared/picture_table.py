"""What every workload of pictures hands on with a model, and asks it as an example."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures._shared.picture import opened, to_channels

_CODED = (b"\x89PNG", b"\xff\xd8\xff")
"""How PNG and JPEG files begin."""


def keep(prepared: Path, context: Path) -> None:
    """The form of the pictures, the unit of their pixels and the names of the classes."""
    shutil.copy(prepared / "facts.json", context)


def example(context: Path) -> pa.Table:
    """A black picture in the size of the training pictures."""
    facts = read_json(context / "facts.json")
    shape = (facts["height"], facts["width"], facts["channels"])
    black = Image.fromarray(np.zeros(shape[:2] if shape[2] == 1 else shape, dtype=np.uint8))
    return pa.table({"image": [coded(black)]}, schema=pa.schema([pa.field("image", pa.binary(), nullable=False)]))


def row_picture(row: int, content: bytes, facts: Mapping[str, Any]) -> Image.Image:
    """The picture of a row as it is asked: coded, or the pixels of a training picture as `prepare` writes them (channel, height, width).

    Raises UserError, beginning with the row, at what is none.
    """
    shape = (facts["channels"], facts["height"], facts["width"])
    if len(content) == math.prod(shape) and not content.startswith(_CODED):
        array = np.frombuffer(content, dtype=np.uint8).reshape(shape)
        return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
    return to_channels(f"row {row}", opened(f"row {row}", content), facts["channels"])


def coded(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
