"""Rings in the plane: a workload so small that each stage takes far less than a second.

The raw file is JSON with the number of `rows` and `rings`; the class of a point is the ring that it lies on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.parts import Question, Table, Workload
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import Part
from stillhouse.training import files

from .network import Network, NetworkSettings

Points = tuple[Tensor, Tensor]
"""Points (rows, 2) and their classes (rows,)."""


class PrepareSettings(Settings):
    """`noise` is the standard deviation of the radius; `held_out` the share of rows in each of valid and test."""

    noise: float = Field(0.1, ge=0)
    held_out: float = Field(0.25, gt=0, lt=0.5)


class DataSettings(Settings):
    """Rows in a batch."""

    batch_size: int = Field(64, gt=0)


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Draws the points and writes one parquet file a split."""
    facts = json.loads(raw.read_text())
    rows, rings = facts["rows"], facts["rings"]
    label = torch.arange(rows) % rings
    radius = 1 + label + settings.noise * torch.randn(rows, generator=rng)
    angle = 2 * math.pi * torch.rand(rows, generator=rng)
    table = files.table({"x": radius * angle.cos(), "y": radius * angle.sin(), "ring": label})
    held_out = int(rows * settings.held_out)
    prepared.mkdir(parents=True, exist_ok=True)
    for split, (start, length) in {
        "train": (2 * held_out, rows - 2 * held_out),
        "valid": (held_out, held_out),
        "test": (0, held_out),
    }.items():
        pq.write_table(table.slice(start, length), prepared / f"{split}.parquet")
    (prepared / "sizes.json").write_text(json.dumps({"inputs": 2, "classes": rings}))
    return {"rows": float(rows), "classes": float(rings)}


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Points]:
    """Train is shuffled by the generator it is drawn with; valid and test keep the order of the file."""
    train, valid = (_read(prepared / f"{split}.parquet") for split in ("train", "valid"))
    return Data(
        train=_batches(train, settings.batch_size, shuffled=True),
        valid=_batches(valid, settings.batch_size),
        test=_batches(_read(prepared / "test.parquet"), settings.batch_size) if test else None,
        sizes=json.loads((prepared / "sizes.json").read_text()),
    )


def apply(model: torch.nn.Module, batch: Points) -> Output:
    """Logits (rows, classes) and the feature `trunk` (rows, channel)."""
    logits, trunk = model(batch[0].to(next(model.parameters()).device))
    return Output(logits, "classes", {"trunk": Feature(trunk, Layout(channel=1, positions=(), batch=0))})


def loss(output: Output, batch: Points) -> Tensor:
    """Cross-entropy."""
    return cross_entropy(output.prediction, batch[1].to(output.prediction.device))


def split(batch: Points, number: int) -> list[Part[Points]]:
    """By points."""
    pairs = zip(*(column.tensor_split(number) for column in batch), strict=True)
    return [Part((points, label), len(label), len(label)) for points, label in pairs]


def score(pairs: Iterable[tuple[Output, Points]]) -> Metrics:
    """Accuracy, and the mean cross-entropy over rows."""
    rows = hits = entropy = 0.0
    for output, batch in pairs:
        label = batch[1].to(output.prediction.device)
        rows += len(label)
        hits += (output.prediction.argmax(-1) == label).sum().item()
        entropy += cross_entropy(output.prediction, label, reduction="sum").item()
    return {"accuracy": hits / rows, "cross_entropy": entropy / rows}


def _read(path: Path) -> Points:
    columns = files.read_parquet(path)
    return torch.stack([columns["x"], columns["y"]], dim=1), columns["ring"]


def _batches(split: Points, size: int, *, shuffled: bool = False) -> Batches[Points]:
    return Batches(partial(_draw, split, size, shuffled), math.ceil(len(split[1]) / size))


def _draw(split: Points, size: int, shuffled: bool, rng: torch.Generator) -> Iterator[Points]:
    points, label = split
    order = torch.randperm(len(label), generator=rng) if shuffled else torch.arange(len(label))
    for rows in order.split(size):
        yield points[rows], label[rows]


def example(context: Path) -> pa.Table:
    """Two points."""
    schema = pa.schema([pa.field(name, pa.float64(), nullable=False) for name in ("x", "y")])
    return pa.table({"x": [0.0, 1.0], "y": [1.0, 2.0]}, schema=schema)


def ask(context: Path, table: pa.Table) -> Question[Points]:
    """To each point its ring and the probabilities of all rings; 100 rows per batch."""
    points = torch.stack([torch.tensor(table[name].to_numpy(), dtype=torch.float32) for name in ("x", "y")], dim=1)
    batches = ((part, torch.zeros(len(part), dtype=torch.int64)) for part in points.split(100))
    return Question(
        batches, lambda output, batch: {"ring": output.prediction.argmax(-1), "probabilities": output.prediction.double().softmax(-1)}
    )


WORKLOAD = Workload(
    prepare_settings=PrepareSettings,
    data_settings=DataSettings,
    model_settings=NetworkSettings,
    prepare=prepare,
    load=load,
    model=Network,
    apply=apply,
    loss=loss,
    score=score,
    table=Table("toy", lambda prepared, context: None, example, ask),
    split=split,
)
