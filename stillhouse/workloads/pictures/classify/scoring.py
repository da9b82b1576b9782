"""What is trained on and what is reported: cross-entropy and accuracy."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.split import Part, by_rows
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.pictures.classify.sample import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of the pictures whose class the batch knows."""
    return functional.cross_entropy(output.prediction, batch.label, ignore_index=HIDDEN)


def split(batch: Batch, number: int) -> list[Part[Batch]]:
    """By pictures; those whose class is known count for the loss."""
    return by_rows(batch, number, ("image", "label"), lambda part: float((part.label != HIDDEN).sum()))


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Means over all pictures: `accuracy`, the share whose class gets the highest logit, and `cross_entropy` in nats."""
    right, entropy = [], []
    for output, batch in outputs:
        right.append(output.prediction.argmax(-1) == batch.label)
        entropy.append(functional.cross_entropy(output.prediction.double(), batch.label, reduction="none"))
    return {"accuracy": float(torch.cat(right).double().mean()), "cross_entropy": float(torch.cat(entropy).mean())}
