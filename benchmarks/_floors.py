"""Forecasts that need no network: the last value, moving averages and linear autoregressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch

PENALTIES = (0.0, 1e-2, 1e-1, 1.0, 10.0, 100.0)
Predictor = Callable[[Batch], Tensor]


def last_value(data: Data[Batch]) -> Metrics:
    """The value at the last step seen."""
    return _scored(data.test, lambda batch: batch.last)


def moving_average(data: Data[Batch]) -> Metrics:
    """The mean of the window."""
    return _scored(data.test, lambda batch: _series(batch).mean(1, keepdim=True))


def moving_average_3(data: Data[Batch]) -> Metrics:
    """The mean of the last three steps."""
    return _scored(data.test, lambda batch: _series(batch)[:, -3:].mean(1, keepdim=True))


def linear_pooled(data: Data[Batch]) -> Metrics:
    """One autoregression for all nodes, by least squares."""
    windows = list(data.train.draw(torch.Generator().manual_seed(0)))
    inputs = torch.cat([_inputs(batch)[batch.asked] for batch in windows])
    weights = _ridge(inputs[None], torch.cat([_target(batch) for batch in windows])[None], 1e-9)[0]
    return _scored(data.test, lambda batch: (_inputs(batch) @ weights)[:, None].float())


def linear(data: Data[Batch]) -> Metrics:
    """A linear map for every node by itself, of the differences from the window's mean to the difference of the target from it.

    So a large penalty means the moving average; the penalty is the best on the validation split.
    """
    fits = [_per_node(data, penalty) for penalty in PENALTIES]
    best = max(fits, key=lambda rule: _scored(data.valid, rule)["skill"])
    return _scored(data.test, best)


def _per_node(data: Data[Batch], penalty: float) -> Predictor:
    windows = list(data.train.draw(torch.Generator().manual_seed(0)))
    nodes = int((windows[0].window == 0).sum())
    inputs = torch.cat([_differences(batch).view(batch.windows, nodes, -1) for batch in windows]).transpose(0, 1)
    targets = torch.cat([(batch.target[:, 0].double() - _mean(batch)).view(batch.windows, nodes) for batch in windows]).T
    weights = _ridge(inputs, targets, penalty)

    def rule(batch: Batch) -> Tensor:
        change = (_differences(batch).view(batch.windows, nodes, -1) * weights).sum(-1).flatten()
        return (_mean(batch) + change)[:, None].float()

    return rule


def _mean(batch: Batch) -> Tensor:
    return _series(batch).double().mean(1)


def _differences(batch: Batch) -> Tensor:
    return _inputs(batch) - torch.nn.functional.pad(_mean(batch)[:, None].expand(-1, batch.steps), (0, 1))


def _ridge(inputs: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """(models, rows, inputs), (models, rows) -> (models, inputs); the last input is constant, penalised by as large a share."""
    square = inputs.mT @ inputs / inputs.shape[1]
    scale = square.diagonal(dim1=-2, dim2=-1)[:, :-1].mean(-1)
    ridge = (penalty * scale[:, None] + 1e-12).repeat(1, inputs.shape[2])
    ridge[:, -1] = penalty + 1e-12
    moment = (inputs.mT @ targets[..., None] / inputs.shape[1])[..., 0]
    return torch.linalg.solve(square + torch.diag_embed(ridge), moment)


def _series(batch: Batch) -> Tensor:
    """(nodes, steps) of the first channel, which is forecast."""
    return batch.history[..., 0]


def _inputs(batch: Batch) -> Tensor:
    series = _series(batch).double()
    return torch.cat((series, torch.ones(len(series), 1, dtype=series.dtype)), 1)


def _target(batch: Batch) -> Tensor:
    return batch.target[batch.asked][:, 0].double()


def _scored(split: Batches[Batch] | None, rule: Predictor) -> Metrics:
    assert split is not None
    return WORKLOAD.score(_outputs(split, rule))


def _outputs(split: Batches[Batch], rule: Predictor) -> Iterator[tuple[Output, Batch]]:
    for batch in split.draw(torch.Generator().manual_seed(0)):
        yield Output(rule(batch), "values"), batch


FORECASTS = {
    "last_value": last_value,
    "moving_average": moving_average,
    "moving_average_3": moving_average_3,
    "linear": linear,
    "linear_pooled": linear_pooled,
}
