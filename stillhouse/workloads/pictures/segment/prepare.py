"""Raw pictures with masks into three tables of bytes, decoded once, and the mean and deviation of the training pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.groups import write_rows
from stillhouse.workloads.pictures._shared.decoded import MOST_BYTES, Decoded
from stillhouse.workloads.pictures._shared.picture import unit
from stillhouse.workloads.pictures._shared.readable import Bad, counted
from stillhouse.workloads.pictures._shared.shelf import Rows
from stillhouse.workloads.pictures._shared.splits import SPLITS, Split, completed
from stillhouse.workloads.pictures.segment.crop import VOID
from stillhouse.workloads.pictures.segment.decode import Form
from stillhouse.workloads.pictures.segment.read import Pictures, Source, read


class PrepareSettings(Settings):
    """The form of the pictures, which pixels have no class, and what is held out where the raw data do not say."""

    size: tuple[int, int] | None = None
    """Height and width that pictures and masks are brought to; None keeps them, and then all must be alike."""
    channels: Literal[1, 3] | None = None
    """1 makes pictures grey, 3 coloured; None keeps them, and then all must be alike."""
    bad: Bad = "refuse"
    """What is done about pictures that, or whose masks, cannot be read: refuse names them all, skip leaves them out and counts them."""
    void: int | None = Field(None, ge=0, lt=VOID)
    """The number of no class in masks, beside 255; numbers above it go down by one. None: as a table says, else there is none."""
    valid_names: str | None = Field(None, min_length=1)
    """Training pictures whose names begin so are the validation split, and what the raw data say of one is left out.

    Frames of a video are nearly alike: hold out a whole one, or the validation is of pictures that were trained on.
    """
    most_bytes: int = Field(MOST_BYTES, gt=0)
    """The most bytes of all decoded pictures together; preparing them takes so much room on the disk beside the result."""
    valid_share: float = Field(0.1, gt=0, lt=1)
    """The share of the training pictures, drawn by the seed, where there is no other validation split."""
    test_share: float = Field(0.2, gt=0, lt=1)
    """The share of the training pictures taken before that, where the raw data have no test split."""

    @field_validator("size")
    @classmethod
    def _positive(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"size should be a height and a width from 1: got {list(value)}")
        return value


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with train, valid and test and facts.json; returns the numbers of pictures and classes.

    A picture is the bytes of (channel, height, width), its mask those of (height, width): classes from 0, `VOID` for none.
    """
    source = read(raw, Form(settings.channels, settings.size, settings.bad, Decoded(settings.most_bytes, prepared)))
    splits = _split(settings, raw, source, rng)
    void = source.void if settings.void is None else settings.void
    masks = {split: classes_of(splits[split].mask, void) for split in SPLITS}
    shape, classes = _shape(raw, splits), _classes(raw, masks)
    for split in SPLITS:
        content = {"image": splits[split].image, "mask": masks[split]}
        write_rows(prepared / f"{split}.parquet", content, {"name": splits[split].name.tolist()})
    facts = dict(zip(("channels", "height", "width"), shape, strict=True)) | {"classes": classes}
    mean, deviation = unit(splits["train"].image.parts())
    write_json(prepared / "facts.json", {**facts, "mean": mean, "deviation": deviation, "names": _names(source, void, classes)})
    counts = {f"{split}_pictures": float(len(splits[split].name)) for split in SPLITS} | {"classes": float(classes)}
    return counts | counted(settings.bad, (pictures.skipped for pictures in source.splits.values()))


def classes_of(mask: Rows, void: int | None) -> Rows:
    """Masks whose numbers are classes without a gap where `void` was; its pixels get `VOID`."""
    if void is None:
        return mask
    table = np.arange(VOID + 1)
    table[void + 1 : VOID] -= 1
    table[void] = VOID
    return mask.mapped(table.astype(np.uint8))


def _split(settings: PrepareSettings, raw: Path, source: Source, rng: torch.Generator) -> dict[Split, Pictures]:
    splits = dict(source.splits)
    if settings.valid_names is not None:
        chosen = np.char.startswith(splits["train"].name, settings.valid_names)
        if chosen.all() or not chosen.any():
            wanted = f"wanted some training pictures, not all, with names that begin with {settings.valid_names!r} (`valid_names`)"
            raise UserError(f"{raw} - {wanted} - got {chosen.sum()} of {len(chosen)}")
        splits["train"], splits["valid"] = splits["train"].rows(~chosen), splits["train"].rows(chosen)
    train = splits["train"]
    rows = completed(raw, splits, len(train.name), settings.test_share, settings.valid_share, rng)
    return splits | {split: train.rows(chosen) for split, chosen in rows.items()}


def _shape(raw: Path, splits: dict[Split, Pictures]) -> tuple[int, ...]:
    shapes = {split: pictures.image.shape[1:] for split, pictures in splits.items()}
    if len(set(shapes.values())) > 1:
        raise UserError(f"{raw} - wanted pictures of one form (set `size` and `channels`) - got channels, height and width of {shapes}")
    return shapes["train"]


def _classes(raw: Path, masks: dict[Split, Rows]) -> int:
    """Their number. Raises UserError unless there are two at least, without a gap."""
    seen = sorted({int(number) for mask in masks.values() for part in mask.parts() for number in np.unique(part)} - {VOID})
    if len(seen) < 2:
        wanted = f"wanted masks of two classes at least, beside {VOID} for pixels that have none"
        raise UserError(f"{raw} - {wanted} - got the numbers {seen}: number the classes 0, 1, ...")
    if seen[-1] != len(seen) - 1:
        missing = next(number for number in range(seen[-1]) if number not in seen)
        raise UserError(f"{raw} - wanted masks whose numbers are classes from 0 to {seen[-1]} - {missing} is in none of them")
    return len(seen)


def _names(source: Source, void: int | None, classes: int) -> list[str]:
    names = [name for number, name in enumerate(source.names) if number != void]
    return names if len(names) == classes else [str(number) for number in range(classes)]
