"""What every workload of pictures hands on with a model, and asks it as an example."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from stages.core.files import read_json


def keep(prepared: Path, context: Path) -> None:
    """The form of the pictures, the unit of their pixels and the names of the classes."""
    shutil.copy(prepared / "facts.json", context)


def example(context: Path) -> pa.Table:
    """A black picture in the size of the training pictures."""
    facts = read_json(context / "facts.json")
    shape = (facts["height"], facts["width"], facts["channels"])
    black = Image.fromarray(np.zeros(shape[:2] if shape[2] == 1 else shape, dtype=np.uint8))
    return pa.table({"image": [coded(black)]}, schema=pa.schema([pa.field("image", pa.binary(), nullable=False)]))


def coded(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
