"""Raw pictures into three tables of bytes, decoded once, and the mean and deviation of the training pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.groups import write_rows
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.pictures._shared.decoded import MOST_BYTES, Decoded
from stillhouse.workloads.pictures._shared.picture import unit
from stillhouse.workloads.pictures._shared.readable import Bad, counted
from stillhouse.workloads.pictures._shared.splits import Split, completed
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import Pictures, Source, read


class PrepareSettings(Settings):
    """The form of the pictures, and what is held out where the raw data do not say."""

    size: int | None = Field(None, gt=0)
    """Height and width that pictures are brought to; None keeps them, and then all must be alike."""
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
    unlabelled: bool = False
    """Whether a training picture of label -1 has none: it is never held out, and a teacher may be asked about it (`data.unlabelled`)."""


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with train, valid and test and facts.json; returns the numbers of pictures and classes.

    A picture is the bytes of (channel, height, width) in this order.
    """
    source = read(raw, Form(settings.channels, settings.size, settings.bad, Decoded(settings.most_bytes, prepared)))
    splits = _split(settings, raw, source, rng)
    classes = _classes(settings, raw, splits)
    for name, pictures in splits.items():
        write_rows(prepared / f"{name}.parquet", {"image": pictures.image}, {"label": pictures.label.astype(np.int32)})
    channels, height, width = splits["train"].image.shape[1:]
    mean, deviation = unit(splits["train"].image.parts())
    facts = {"channels": channels, "height": height, "width": width, "classes": classes}
    names = list(source.names) or [str(number) for number in range(classes)]
    write_json(prepared / "facts.json", {**facts, "mean": mean, "deviation": deviation, "names": names})
    counts = {f"{name}_pictures": float(len(pictures.label)) for name, pictures in splits.items()} | {"classes": float(classes)}
    counts |= {"unlabelled_pictures": float(_hidden(settings, splits["train"].label).sum())} if settings.unlabelled else {}
    return counts | counted(settings.bad, (pictures.skipped for pictures in source.splits.values()))


def _split(settings: PrepareSettings, raw: Path, source: Source, rng: torch.Generator) -> dict[Split, Pictures]:
    train = source.splits["train"]
    hidden = _hidden(settings, train.label)
    known = np.flatnonzero(~hidden)
    dealt = completed(raw, source.splits, len(known), settings.test_share, settings.valid_share, rng)
    rows = {name: known[chosen] for name, chosen in dealt.items()}
    rows["train"] = np.union1d(rows["train"], np.flatnonzero(hidden))
    return source.splits | {name: train.rows(chosen) for name, chosen in rows.items()}


def _hidden(settings: PrepareSettings, label: np.ndarray) -> np.ndarray:
    return (label == HIDDEN) & settings.unlabelled


def _of_none(settings: PrepareSettings) -> str:
    return (
        "-1 is for training pictures alone" if settings.unlabelled else "where -1 means that a training picture has none, set `unlabelled`"
    )


def _classes(settings: PrepareSettings, raw: Path, splits: dict[Split, Pictures]) -> int:
    """Their number. Raises UserError unless all are numbers from 0, there are two, and each is among the training pictures."""
    labels = {name: pictures.label for name, pictures in splits.items()}
    labels["train"] = labels["train"][~_hidden(settings, labels["train"])]
    seen = {int(label) for each in labels.values() for label in np.unique(each)}
    taught = {int(label) for label in np.unique(labels["train"])}
    if not taught:
        raise UserError(f"{raw} - wanted training pictures with a label - all have -1")
    if min(seen) < 0:
        remedy = f" ({_of_none(settings)})" if min(seen) == HIDDEN else ""
        raise UserError(f"{raw} - wanted labels that are numbers from 0{remedy} - got {min(seen)}")
    if (missing := next((label for label in range(max(seen) + 1) if label not in taught), None)) is not None:
        raise UserError(f"{raw} - wanted training pictures of each class from 0 to {max(seen)} - there is none of {missing}")
    shapes = {name: pictures.image.shape[1:] for name, pictures in splits.items()}
    if len(set(shapes.values())) > 1:
        raise UserError(f"{raw} - wanted pictures of one form (set `size` and `channels`) - got channels, height and width of {shapes}")
    if len(taught) < 2:
        raise UserError(f"{raw} - wanted pictures of two classes at least - all are of one: there is nothing to tell apart")
    return max(seen) + 1
