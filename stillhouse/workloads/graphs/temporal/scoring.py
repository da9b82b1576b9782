"""What is trained on and what is reported: errors of values on the raw scale and as published, accuracy of classes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss, mse_loss

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.graphs.temporal.batch import Batch


def loss(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy of classes that are known; the mean squared or absolute error of the values that are asked about and known, or 0."""
    if output.meaning == "classes":
        return cross_entropy(output.prediction, batch.target, ignore_index=HIDDEN)
    error = l1_loss if batch.absolute else mse_loss
    if batch.known is None:
        return error(output.prediction[batch.asked], batch.target[batch.asked])
    counts = batch.counts()
    return error(output.prediction[counts], batch.target[counts], reduction="sum") / counts.sum().clamp_min(1)


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """`accuracy` for classes, the metrics of `errors` for values."""
    outputs = list(outputs)
    if outputs[0][0].meaning == "classes":
        right = torch.cat([output.prediction.argmax(-1) == batch.target for output, batch in outputs])
        return {"accuracy": float(right.float().mean())}
    return errors(outputs)


def errors(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Means over all nodes that are asked about and all outputs, without what is not known.

    - `skill`: 1 - MAE / MAE of the last value seen; 1 is perfect, 0 is no better than to repeat the last value;
    - `mae`, `rmse`: in the units of the data, RMSE being the root of the mean square over everything;
    - `mape_scaled`: in percent, |error| / (|target| + 1) of scaled values, as published for time-then-graph (it is no share
      of the value, since scaled targets are small beside the 1).
    """
    error, baseline, scaled = [], [], []
    for output, batch in outputs:
        asked, counts = batch.asked, batch.counts()[batch.asked]
        predicted, target, last = (value[asked].double() for value in (output.prediction, batch.target, batch.last))
        raw = batch.raw(target)
        error.append((batch.raw(predicted) - raw)[counts])
        baseline.append((batch.raw(last) - raw)[counts])
        scaled.append(((predicted - target).abs() / (target.abs() + 1))[counts])
    every, repeated = torch.cat(error), torch.cat(baseline).abs().mean()
    mae = every.abs().mean()
    return {
        "skill": float(1 - mae / repeated.clamp_min(1e-12)),
        "mae": float(mae),
        "rmse": float(every.square().mean().sqrt()),
        "mape_scaled": float(100 * torch.cat(scaled).mean()),
    }
