"""What is trained on and what is reported: cross-entropy and accuracy of classes, squared errors of values."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.training.f1 import macro_f1
from stillhouse.workloads.graphs._shared.roc_auc import roc_auc
from stillhouse.workloads.graphs.static_graphs.sample import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of classes, or the mean squared error of values in units of their deviation."""
    if output.meaning == "classes":
        return functional.cross_entropy(output.prediction, batch.target)
    return functional.mse_loss(output.prediction, batch.target.to(output.prediction))


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Over all graphs, of classes or of values."""
    outputs = list(outputs)
    return _classes(outputs) if outputs[0][0].meaning == "classes" else _values(outputs)


def _classes(outputs: list[tuple[Output, Batch]]) -> Metrics:
    """`accuracy`, `macro_f1` over the classes that occur or are predicted, `cross_entropy` in nats, and of two classes `roc_auc`."""
    prediction = torch.cat([output.prediction.double() for output, _ in outputs])
    label = torch.cat([batch.target for _, batch in outputs])
    found = prediction.argmax(-1)
    metrics = {"accuracy": float((found == label).double().mean()), "macro_f1": macro_f1(found, label)}
    metrics["cross_entropy"] = float(functional.cross_entropy(prediction, label))
    if prediction.shape[-1] == 2:
        metrics["roc_auc"] = roc_auc(prediction[:, 1] - prediction[:, 0], label == 1)
    return metrics


def _values(outputs: list[tuple[Output, Batch]]) -> Metrics:
    """`skill`: 1 - squared errors / those of the training graphs' mean, each value in its deviation; `mae` and `rmse` in its own units."""
    error = torch.cat([(output.prediction - batch.target).double() for output, batch in outputs])
    raw = torch.cat([batch.raw(output.prediction) - batch.raw(batch.target) for output, batch in outputs])
    spread = torch.cat([batch.target.double() for _, batch in outputs]).square().sum()
    skill = 1 - error.square().sum() / spread.clamp_min(1e-12)
    return {"skill": float(skill), "mae": float(raw.abs().mean()), "rmse": float(raw.square().mean().sqrt())}
