"""Why ISDEA fails on NELL-995 v1 with one seed of five: batch norms that know the training graph, and the same with the test graph's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import _knowledge_graph, _methods
from benchmarks._cells import Row
from stillhouse.contracts.data import Data, Metrics
from stillhouse.training.score import EVALUATION_SEED, score
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch
from stillhouse.workloads.graphs.knowledge.norm import SharedBatchNorm

name = "shifted_norms"
expected_seconds = 120
needs_data = True
settings: dict[str, Any] = {
    "seeds": [45],
    "prepare": {"train": "nell_v1", "test": "nell_v1_ind"},
    "method": _methods.isdea(),
    "batches": 8,
}
"""Seed 45 is the one that fails in the benchmark nell995-v1."""


def run(data: Path) -> Iterator[Row]:
    """`data` holds kg_grail/nell995_v1-4.zip.

    `own_node_hits@10` and so on are those of the same weights once the norms have statistics of the test graph, which takes no answers.
    `times_variance` is how often the training graph's variance goes into the test graph's: the median channel of the norm where it is most.
    """
    raw = data / "kg_grail" / "nell995_v1-4.zip"
    entry = _knowledge_graph.Set("nell995-v1, norms", raw, settings["prepare"], lists=("clean",))
    for seed in settings["seeds"]:
        for found in _knowledge_graph.run([entry], {"isdea": settings["method"]}, [seed], more=_with_own):
            if found["method"] == "isdea":
                yield found | {"method": f"isdea, seed {seed}"}


def _with_own(model: nn.Module, data: Data[Batch]) -> Metrics:
    """Metrics of the model, which keeps its statistics, after its norms were given those of the test graph."""
    assert data.test is not None
    norms = [module for module in model.modules() if isinstance(module, SharedBatchNorm)]
    kept = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    batches = list(islice(data.test.draw(torch.Generator().manual_seed(EVALUATION_SEED)), settings["batches"]))
    shifts = [float((_moments(model, norm, batches)[1] / norm.running_var).median()) for norm in norms]
    for norm in norms:  # in their order, so that each is asked behind norms that have theirs already
        mean, variance = _moments(model, norm, batches)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    found = {f"own_{name}": value for name, value in score(WORKLOAD, model, data.test).items()}
    for norm, (mean, variance) in zip(norms, kept, strict=True):
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    return found | {"times_variance": max(shifts)}


@torch.no_grad()
def _moments(model: nn.Module, norm: SharedBatchNorm, batches: list[Batch]) -> tuple[Tensor, Tensor]:
    """The mean and variance of what comes to a norm, each in the mean over batches."""
    found: list[tuple[Tensor, Tensor]] = []

    def seen(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        value, share = inputs
        part = share.to(value) / share.sum()
        mean = part @ value
        found.append((mean, part @ (value - mean).square()))

    handle = norm.register_forward_pre_hook(seen)
    for batch in batches:
        WORKLOAD.apply(model.eval(), batch)
    handle.remove()
    means, variances = zip(*found, strict=True)
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)
