"""What a model is asked, what it answers, and how the answer is judged: only by states that were watched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples, each watched under one load; a load with no counts is unlabelled, a question for a teacher alone.

    `load` (samples,) is in units of the mean training load; `counts` (samples, states) says how often a state was seen, and
    `watched` (samples, states) whether it would have been; `full` (samples,) is the share of time with a full queue, NaN
    where it is not known.
    """

    load: Tensor
    counts: Tensor
    watched: Tensor
    full: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on a device."""
        parts = (self.load, self.counts, self.watched, self.full)
        return Batch(*(part.to(device, non_blocking=non_blocking) for part in parts))


@dataclass(frozen=True)
class QueueOutput(Output):
    """`prediction` is the logarithm of a distribution over states, (samples, states); `penalty` is what a prior adds to the loss."""

    prediction: Float[Tensor, "samples states"]
    penalty: Float[Tensor, ""] | float = 0.0


def loss(output: Output, batch: Batch) -> Tensor:
    """Negative log likelihood, in nats an observation, of the watched states given that a watched state was seen, and the penalty."""
    assert isinstance(output, QueueOutput)
    return _negative_log_likelihood(output.prediction, batch) / batch.counts.sum().clamp(min=1) + output.penalty


def _negative_log_likelihood(prediction: Tensor, batch: Batch) -> Tensor:
    """Without the condition the loss would be biased by the mass of the states that are not watched."""
    among = prediction.masked_fill(~batch.watched, -torch.inf)
    logarithm = (prediction - among.logsumexp(-1, keepdim=True)).masked_fill(~batch.watched, 0.0)
    return -(batch.counts * logarithm).sum()


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Where the share of time with a full queue is known, the mean of |error| / share (`mape`, over shares above 0) and of error^2;
    always `log_loss`, nats an observation among the states that are watched in that split.

    Lower is better.
    """
    error, share, nats, seen = [], [], 0.0, 0.0
    for output, batch in outputs:
        prediction = output.prediction.detach().double()
        known = ~batch.full.isnan()
        error.append((prediction[:, -1].exp() - batch.full)[known])
        share.append(batch.full[known])
        nats += _negative_log_likelihood(prediction, batch).item()
        seen += batch.counts.sum().item()
    return _errors(torch.cat(error), torch.cat(share)) | {"log_loss": nats / max(seen, 1.0)}


def agreement(first: Output, second: Output) -> Tensor:
    """(samples,): the share of time that two distributions over the states have in common, 1 less their total variation distance."""
    return torch.minimum(first.prediction.exp(), second.prediction.exp()).sum(-1)


def _errors(error: Tensor, share: Tensor) -> Metrics:
    some = share > 0
    if not some.any():
        return {}
    relative = (error[some].abs() / share[some]).mean().item()
    return {"mape": relative, "mse": error.square().mean().item()}
