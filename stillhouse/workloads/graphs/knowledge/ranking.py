"""How a knowledge graph's candidate lists are scored, and what is minimised in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs._shared.ranks import ranks
from stillhouse.workloads.graphs.knowledge.graph import Batch, Task

TASKS: tuple[Task, ...] = ("mixed", "node", "relation", "train")
_HITS = (1, 3, 10)


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Mean reciprocal rank and Hits@1, 3, 10 of each task that occurs, the mixed lists first."""
    found: dict[Task, list[Tensor]] = defaultdict(list)
    for output, batch in outputs:
        found[batch.task].append(ranks(output.prediction.detach().double()).cpu())
    metrics: Metrics = {}
    for task in TASKS:
        if task in found:
            rank = torch.cat(found[task])
            metrics[f"{task}_mrr"] = rank.reciprocal().mean().item()
            metrics |= {f"{task}_hits@{most}": (rank <= most).double().mean().item() for most in _HITS}
    return metrics


def loss(output: Output, batch: Batch) -> Tensor:
    """Binary cross-entropy with logits, the true triple weighing as much as all its false ones; or the softmax over each query.

    Queries whose answer is not to be known are left out.
    """
    logits = output.prediction if batch.known is None else output.prediction[batch.known]
    if batch.softmax:
        return -functional.log_softmax(logits, 1)[:, 0].mean()
    truth = torch.zeros_like(logits)
    truth[:, 0] = 1
    weight = logits.new_tensor(max(logits.shape[1] - 1, 1))
    return functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
