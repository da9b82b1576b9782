"""What is trained on and what is reported: cross-entropy and intersection over union, of pixels that have a class."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.split import Part, by_rows
from stillhouse.workloads.pictures.segment.crop import VOID
from stillhouse.workloads.pictures.segment.sample import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of the batch's pixels that have a class, 0 if none has."""
    return _entropy(output.prediction, batch) / (batch.mask != VOID).sum().clamp(min=1)


def split(batch: Batch, number: int) -> list[Part[Batch]]:
    """By pictures, each of which counts for its pixels that have a class."""
    return by_rows(batch, number, ("image", "mask"), lambda part: int((part.mask != VOID).sum()))


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Over all pixels that have a class, all pictures taken together.

    `miou`, the mean over classes of pixels in the answer and the mask over pixels in the answer or the mask; `pixel_accuracy`;
    `cross_entropy` in nats; `iou_<class>` of each. A class that neither masks nor answers hold has none and is not in the mean.
    Raises UserError if no pixel has a class.
    """
    confusion, entropy = [], []
    for output, batch in outputs:
        confusion.append(_confusion(output.prediction, batch.mask))
        entropy.append(_entropy(output.prediction.double(), batch).item())
    table = sum(confusion[1:], start=confusion[0]).double().cpu()
    pixels = table.sum().item()
    if not pixels:
        raise UserError("wanted pixels that have a class to score an answer - there are none in the whole split")
    union = table.sum(0) + table.sum(1) - table.diagonal()
    each = {index: float(table[index, index] / union[index]) for index in union.nonzero().flatten().tolist()}
    accuracy = float(table.trace()) / pixels
    means = {"miou": sum(each.values()) / len(each), "pixel_accuracy": accuracy, "cross_entropy": sum(entropy) / pixels}
    return means | {f"iou_{index}": value for index, value in each.items()}


def _confusion(prediction: Tensor, mask: Tensor) -> Tensor:
    """(classes, classes), int64: pixels by their class in the mask, and by that in the answer."""
    classes, known = prediction.shape[-1], mask != VOID
    cells = mask[known].long() * classes + prediction.argmax(-1)[known]
    return torch.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _entropy(prediction: Tensor, batch: Batch) -> Tensor:
    return functional.cross_entropy(prediction.movedim(-1, 1), batch.mask.long(), ignore_index=VOID, reduction="sum")
