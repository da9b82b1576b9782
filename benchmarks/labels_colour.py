"""A tenth of the labels of CIFAR-10 (JPEG) at 32 pixels: the student alone, and taught by logits and by features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import labels
from benchmarks._cells import Row
from benchmarks.labels_gains import gained

name = "labels_colour"
expected_seconds = 600
needs_data = True
settings: dict[str, Any] = {
    "seeds": [2, 3, 4],
    "share": "0.1",
    "losses": ["logits", "pearson"],
    "methods": ["teacher", "alone", "longer", "logits", "pearson"],
    "set": labels.settings["sets"]["cifar10-jpeg"],
}
"""`set` is what is said of it in `labels`, for the record."""


def run(data: Path) -> list[Row]:
    """`data` holds cifar10-jpeg/cifar10-jpeg.parquet. The rate and the weights are those that `labels` chose on Fashion-MNIST."""
    return gained(labels.source("cifar10-jpeg", data), settings, "fashion-mnist")
