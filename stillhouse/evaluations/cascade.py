"""cascade: the student answers, and the teacher is asked only where the student is unsure: quality over the mean cost of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.training.score import agreement, passes


class CascadeSettings(Settings):
    """For which `shares` of the validation rows the teacher shall be asked: those on which the student is least sure."""

    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((0.1, 0.25, 0.5), min_length=1)


def run(pair: Pair[Any], settings: CascadeSettings, rng: torch.Generator) -> Metrics:
    """For each share in percent, such as 25, what the two together are worth on the test split.

    `cascade_NAME_25` is the workload's first metric, `cascade_asked_25` the share of rows for which the teacher was asked,
    `cascade_macs_25` the MACs of the student and, in that share, of the teacher, on the batch on which `cost` counts; `cascade_apart_25`
    is in which share of the rows that the student kept the two disagree. How unsure a student is, is 1 less its highest probability,
    of a row with positions their mean; from which value on it asks, is decided on the validation split. MACs are those of rows that can
    be asked one by one, which nodes of one graph cannot. Raises UserError where models predict values, or not the same ones.
    """
    batch = pair.example
    macs = {who: cost.summary(model, lambda model=model: pair.workload.apply(model, batch))["macs"] for who, model in pair.models.items()}  # type: ignore[misc]
    unsure = torch.cat([_unsure(output) for output, _ in passes(pair.workload, pair.student, pair.valid)])
    found: Metrics = {}
    for share in settings.shares:
        scored, asked, apart = _together(pair, float(unsure.quantile(1 - share)))
        found |= {f"cascade_{name}_{_percent(share)}": value for name, value in scored.items()}
        found |= {f"cascade_asked_{_percent(share)}": asked, f"cascade_macs_{_percent(share)}": macs["student"] + asked * macs["teacher"]}
        found[f"cascade_apart_{_percent(share)}"] = apart
    return found


def _together(pair: Pair[Any], limit: float) -> tuple[Metrics, float, float]:
    """The first metric where the teacher is asked above a limit, the share that is asked, and how much of the rest is apart."""
    asked: list[Tensor] = []
    alike: list[Tensor] = []

    def answers() -> Iterator[tuple[Output, Any]]:
        both = (passes(pair.workload, model, pair.test) for model in (pair.student, pair.teacher))
        for (ours, batch), (theirs, _) in zip(*both, strict=True):
            asks = _unsure(ours) > limit
            asked.append(asks)
            alike.append(_by_row((pair.workload.agreement or agreement)(ours, theirs), len(asks)))
            yield _merged(asks, ours, theirs), batch

    scored = pair.workload.score(answers())
    name, asks = next(iter(scored)), torch.cat(asked)
    kept = torch.cat(alike)[~asks]
    return {name: scored[name]}, float(asks.double().mean()), float(1 - kept.mean()) if len(kept) else 0.0


def _merged(asks: Tensor, ours: Output, theirs: Output) -> Output:
    if ours.prediction.shape != theirs.prediction.shape:
        shapes = f"{tuple(ours.prediction.shape)} and {tuple(theirs.prediction.shape)}"
        raise UserError(f"cascade wants a student and a teacher who choose among the same answers, got predictions {shapes}")
    rows = asks.view(-1, *[1] * (ours.prediction.dim() - 1))
    return replace(ours, prediction=torch.where(rows, theirs.prediction, ours.prediction))


def _unsure(output: Output) -> Tensor:
    """One number per row, at least 0."""
    if output.meaning == "values":
        raise UserError(f"cascade wants classes or candidates, of which a student can be sure, got values {tuple(output.prediction.shape)}")
    return _by_row(1 - output.prediction.double().softmax(-1).amax(-1), len(output.prediction))


def _by_row(values: Tensor, rows: int) -> Tensor:
    return values.double().reshape(rows, -1).mean(1)


def _percent(share: float) -> str:
    return f"{100 * share:g}".replace(".", "_")


EVALUATION = Evaluation(CascadeSettings, run)
