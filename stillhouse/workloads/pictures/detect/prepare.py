"""Raw pictures with boxes into tables: the pictures decoded once, and a row for each box."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.training.groups import write_rows
from stillhouse.workloads.pictures._shared.decoded import MOST_BYTES, Decoded
from stillhouse.workloads.pictures._shared.picture import unit
from stillhouse.workloads.pictures._shared.readable import Bad, counted
from stillhouse.workloads.pictures._shared.splits import Split, completed
from stillhouse.workloads.pictures.detect.item import Form, Item, Pictures, Source, gather
from stillhouse.workloads.pictures.detect.read import read

Pixels = Annotated[int, Field(gt=0)]


class PrepareSettings(Settings):
    """The form of the pictures, and what is held out where the raw data do not say."""

    size: tuple[Pixels, Pixels] | None = None
    """Height and width in which pictures are made to fit, at their own proportions and black beside them; None keeps them, and then
    all must be alike."""
    channels: Literal[1, 3] | None = None
    """1 makes them grey, 3 coloured; None keeps them, and then all must be alike."""
    bad: Bad = "refuse"
    """What is done about pictures that cannot be read: refuse names them all, skip leaves them out and counts them."""
    most_bytes: int = Field(MOST_BYTES, gt=0)
    """The most bytes of all decoded pictures together; preparing them takes so much room on the disk beside the result."""
    valid_share: float = Field(0.1, gt=0, lt=1)
    """The share of the training pictures, drawn by the seed, where the raw data have no validation split."""
    test_share: float = Field(0.2, gt=0, lt=1)
    """The share of the training pictures taken before that, where the raw data have no test split."""


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with pictures and boxes of train, valid and test and facts.json; returns the numbers of both.

    A picture is the bytes of (channel, height, width) in this order; a box names its picture by its row.
    """
    source = read(raw)
    form = Form(settings.channels, settings.size, settings.bad, Decoded(settings.most_bytes, prepared))
    items = _split(settings, raw, source, rng)
    splits = dict(zip(items, every(lambda part: gather(part, form), items.values()), strict=True))
    _check(raw, splits, source.names)
    for name, pictures in splits.items():
        write_rows(prepared / f"{name}.parquet", {"image": pictures.image}, {})
        write_parquet(prepared / f"{name}-boxes.parquet", _columns(pictures))
    channels, height, width = splits["train"].image.shape[1:]
    mean, deviation = unit(splits["train"].image.parts())
    facts = {"channels": channels, "height": height, "width": width, "classes": len(source.names), "names": list(source.names)}
    write_json(prepared / "facts.json", {**facts, "mean": mean, "deviation": deviation})
    counts = {f"{name}_pictures": float(len(pictures.image)) for name, pictures in splits.items()}
    counts |= {f"{name}_boxes": float(len(pictures.label)) for name, pictures in splits.items()}
    counts |= {"classes": float(len(source.names)), "dropped_boxes": float(sum(pictures.dropped for pictures in splits.values()))}
    return counts | counted(settings.bad, (pictures.skipped for pictures in splits.values()))


def _columns(pictures: Pictures) -> dict[str, np.ndarray]:
    picture, label = pictures.picture.astype(np.int32), pictures.label.astype(np.int32)
    return {"picture": picture, "box": pictures.boxes, "label": label, "crowd": pictures.crowd}


def _split(settings: PrepareSettings, raw: Path, source: Source, rng: torch.Generator) -> dict[Split, list[Item]]:
    train = source.splits.get("train")
    if not train:
        raise UserError(f"{raw} - wanted pictures to train on - got {sorted(source.splits)}")
    rows = completed(raw, source.splits, len(train), settings.test_share, settings.valid_share, rng)
    return source.splits | {name: [train[row] for row in chosen] for name, chosen in rows.items()}


def _check(raw: Path, splits: dict[Split, Pictures], names: tuple[str, ...]) -> None:
    """Raises UserError unless the splits are of one form, each has boxes, and all labels have a name."""
    shapes = {name: pictures.image.shape[1:] for name, pictures in splits.items()}
    if len(set(shapes.values())) > 1:
        raise UserError(f"{raw} - wanted pictures of one form (set `size` and `channels`) - got channels, height and width of {shapes}")
    for name, pictures in splits.items():
        if pictures.crowd.all():
            raise UserError(f"{raw} - wanted boxes in each split, without which nothing can be scored - there are none in {name}")
        if not ((pictures.label >= 0) & (pictures.label < len(names))).all():
            wanted = f"wanted labels from 0 to {len(names) - 1}, one for each of the classes {', '.join(names)}"
            raise UserError(f"{raw} - {wanted} - got {pictures.label.min()} to {pictures.label.max()}")
