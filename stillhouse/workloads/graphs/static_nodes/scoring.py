"""What is trained on and what is reported: cross-entropy, accuracy, F1 with all classes alike, and of two classes the ROC AUC."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.training.f1 import macro_f1
from stillhouse.workloads.graphs._shared.nodes import NONE
from stillhouse.workloads.graphs._shared.roc_auc import roc_auc
from stillhouse.workloads.graphs.static_nodes.sample import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of the nodes whose class the batch knows."""
    return functional.cross_entropy(output.prediction, batch.label, ignore_index=NONE)


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Over all nodes: `accuracy`, `macro_f1` over the classes that occur or are predicted, and `cross_entropy` in nats.

    Of two classes there is `roc_auc` too, of the second one's. Where some nodes were unseen in training, `unseen_accuracy` is theirs, and
    `observed_accuracy` that of the others, if there are any.
    """
    rows = [(output.prediction.double(), batch.label, batch.unseen) for output, batch in outputs]
    prediction, label, unseen = (torch.cat(column) for column in zip(*rows, strict=True))
    found = prediction.argmax(-1)
    hits = (found == label).double()
    metrics = {"accuracy": float(hits.mean()), "macro_f1": macro_f1(found, label)}
    metrics["cross_entropy"] = float(functional.cross_entropy(prediction, label))
    if prediction.shape[-1] == 2:
        metrics["roc_auc"] = roc_auc(prediction[:, 1] - prediction[:, 0], label == 1)
    if unseen.any():
        metrics["unseen_accuracy"] = float(hits[unseen].mean())
        metrics |= {"observed_accuracy": float(hits[~unseen].mean())} if not unseen.all() else {}
    return metrics
