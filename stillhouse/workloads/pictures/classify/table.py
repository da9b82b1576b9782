"""Pictures as a table: to each row, a coded picture, its class and the probabilities of all classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.pictures._shared.picture import pixels
from stillhouse.workloads.pictures._shared.picture_table import example, keep, row_picture
from stillhouse.workloads.pictures.classify.decode import fitted
from stillhouse.workloads.pictures.classify.sample import Batch

ROWS = 256
"""Pictures decoded and asked at once."""


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Coded pictures, brought to the channels and (if square) to the size of the training pictures."""
    facts = read_json(context / "facts.json")
    names: list[str] = facts["names"]

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        probabilities = output.prediction.double().softmax(-1)
        best, place = probabilities.max(-1)
        return {"class": [names[index] for index in place.tolist()], "probability": best, "probabilities": probabilities}

    return Question(_batches(facts, table.column("image")), columns)


def _batches(facts: Mapping[str, Any], images: pa.ChunkedArray) -> Iterator[Batch]:
    unit = torch.tensor([facts["mean"], facts["deviation"]])
    for first in range(0, len(images), ROWS):
        places = enumerate(images.slice(first, ROWS).to_pylist(), start=first)
        image = torch.from_numpy(np.stack([_picture(row, content, facts) for row, content in places]))
        yield Batch(image, torch.zeros(len(image), dtype=torch.int64), unit)


def _picture(row: int, content: bytes, facts: Mapping[str, Any]) -> np.ndarray:
    size = (facts["height"], facts["width"])
    picture = pixels(fitted(row_picture(row, content, facts), size[0] if size[0] == size[1] else None))
    if picture.shape[1:] != size:
        got = " by ".join(map(str, picture.shape[1:]))
        raise UserError(f"row {row} - wanted a picture of {size[0]} by {size[1]} pixels, as in training - got {got}")
    return picture


TABLE = Table("classify", keep, example, ask)
