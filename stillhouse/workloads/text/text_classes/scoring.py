"""What is trained on and what is reported: cross-entropy, accuracy, and F1 with all classes alike."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.split import Part, by_rows
from stillhouse.training.f1 import macro_f1
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.text.text_classes.sample import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of the texts whose class the batch knows."""
    return functional.cross_entropy(output.prediction, batch.label, ignore_index=HIDDEN)


def split(batch: Batch, number: int) -> list[Part[Batch]]:
    """By texts, all as long as the longest of the whole batch; those whose class is known count for the loss."""
    return by_rows(batch, number, ("token", "mask", "label"), lambda part: float((part.label != HIDDEN).sum()))


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Over all texts: `accuracy`, `macro_f1` over the classes that occur or are predicted, and `cross_entropy` in nats."""
    chosen, label, entropy = [], [], []
    for output, batch in outputs:
        chosen.append(output.prediction.argmax(-1))
        label.append(batch.label)
        entropy.append(functional.cross_entropy(output.prediction.double(), batch.label, reduction="none"))
    found, wanted = torch.cat(chosen), torch.cat(label)
    return {
        "accuracy": float((found == wanted).double().mean()),
        "macro_f1": macro_f1(found, wanted),
        "cross_entropy": float(torch.cat(entropy).mean()),
    }
