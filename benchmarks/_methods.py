"""The `teach` blocks of the knowledge-graph benchmarks, one a method; what is not said here is the settings' default."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]


def isdea(**model: Any) -> Block:
    """As published: Adam at 1e-3, batches of 256, two false tails and two false relations each."""
    fit = {"epochs": 50, "patience": 15, "learning_rate": 1e-3, "weight_decay": 5e-4, "clip_norm": 1.0}
    return {"model": {"family": "isdea", **model}, "data": {"batch_size": 256}, "fit": fit}


def isdea_plus(**model: Any) -> Block:
    """As published: batches of one relation, a tenth of the triples asked and the rest observed; the rate is ours.

    At the published rate of 1e-4, as many passes over a tenth of a small graph are far too few steps.
    """
    data = {"batch_size": 256, "group_by_relation": True, "supervision_share": 0.1}
    fit = {"epochs": 60, "patience": 20, "learning_rate": 1e-3}
    return {"model": {"family": "isdea_plus", **model}, "data": data, "fit": fit}


def isdea_marked(**model: Any) -> Block:
    """Cross-entropy over the candidates; the last false tail has no edges, as most of the published lists' candidates."""
    data = {"batch_size": 64, "tail_negatives": 16, "relation_negatives": 4, "softmax": True, "connected": True, "isolated_negative": True}
    fit = {"epochs": 8, "learning_rate": 3e-3, "weight_decay": 1e-4, "optimizer": "adamw", "schedule": "cosine", "clip_norm": 1.0}
    return {"model": {"family": "isdea_marked", **model}, "data": data, "fit": fit}
