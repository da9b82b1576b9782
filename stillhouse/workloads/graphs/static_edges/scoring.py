"""What is trained on and what is reported: cross-entropy of edges and strangers, ROC AUC, and ranks of edges among their candidates."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs._shared.ranks import ranks
from stillhouse.workloads.graphs._shared.roc_auc import roc_auc
from stillhouse.workloads.graphs.static_edges.sample import Batch

_HITS = (1, 3, 10)


def loss(output: Output, batch: Batch) -> Tensor:
    """Binary cross-entropy with logits, edges weighing as much as strangers."""
    logits = output.prediction
    truth = torch.zeros_like(logits)
    truth[:, 0] = 1
    weight = logits.new_tensor(max(logits.shape[1] - 1, 1))
    return functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """`roc_auc` of all edges against all strangers; `mrr` and `hits@1`, 3, 10 of each edge among its own, ties at the mean rank."""
    scores = torch.cat([output.prediction.double() for output, _ in outputs])
    edge = torch.zeros_like(scores, dtype=torch.bool)
    edge[:, 0] = True
    rank = ranks(scores)
    hits = {f"hits@{most}": float((rank <= most).double().mean()) for most in _HITS}
    return {"roc_auc": roc_auc(scores.flatten(), edge.flatten()), "mrr": float(rank.reciprocal().mean()), **hits}
