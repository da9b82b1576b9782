"""The training loop: one for teachers, supernets and students."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training.machine import move
from stillhouse.training.place import Place
from stillhouse.training.precision import Precision, mixed
from stillhouse.training.progress import Progress


class FitSettings(Settings):
    """How weights are trained; everything here can change a result, so everything here is tracked."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1e6)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["constant", "cosine"] = "constant"
    clip_norm: float | None = Field(None, gt=0)
    clip_value: float | None = Field(None, gt=0)
    patience: int | None = Field(None, gt=0)
    """Epochs without a better validation score after which training stops; None trains to the end."""
    precision: Precision = "32-true"


@dataclass(frozen=True)
class Epoch:
    """One finished pass: its number from 1, the mean loss of its batches and its seconds."""

    index: int
    loss: float
    seconds: float


Objective = Callable[[Any], Tensor]
_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
DIVERGED = 1e6
"""How many times the first epoch's loss (or 1, if that is more) an epoch's loss may be."""


def fit(
    model: nn.Module,
    objective: Objective,
    batches: Batches[Any],
    settings: FitSettings,
    rng: torch.Generator,
    *,
    progress: Progress | None = None,
    parameters: list[dict[str, Any]] | None = None,
    after_step: Callable[[], None] | None = None,
) -> Iterator[Epoch]:
    """Trains `model` on `objective(batch)` (a scalar), yielding after every epoch; goes on from the checkpoint in `progress`, if any.

    `model` is all that is trained and checkpointed (an nn.ModuleDict for several parts), on the device where it lies. An epoch is saved
    when the caller asks for the next one, so that what the caller makes of it (a validation, a curve) is in the same checkpoint.
    `parameters` are optimiser groups; a group with "constant": True is left out of the learning-rate schedule. Raises UserError if the
    loss is no finite number, or diverges.
    """
    progress = progress or Progress()
    groups = parameters or [{"params": list(model.parameters())}]
    optimizer = _OPTIMIZERS[settings.optimizer](groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    place = Place(model, optimizer, rng)
    progress.keep("training", place)
    progress.restore()
    while place.epoch < settings.epochs:
        started = time.perf_counter()
        for batch in place.batches(batches):
            loss = _step(model, objective, optimizer, settings, batch)
            if after_step:
                after_step()
            place.count(loss)
            progress.save_in_time()
        loss = place.finish(batches.length)
        _schedule(optimizer, rates, settings, place.epoch)
        _refuse_divergence(loss, place)
        yield Epoch(place.epoch, loss, time.perf_counter() - started)
        progress.save()


def _refuse_divergence(loss: float, place: Place) -> None:
    if loss > DIVERGED * max(1.0, place.first_loss):
        raise UserError(
            f"epoch {place.epoch}: the training diverges, its loss went from {place.first_loss:.3g} to {loss:.3g}: "
            "lower the learning rate or clip the gradient"
        )


def _schedule(optimizer: torch.optim.Optimizer, rates: list[float], settings: FitSettings, epoch: int) -> None:
    """Sets the learning rates for the pass after `epoch` finished ones."""
    if settings.schedule == "cosine":
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            if not group.get("constant"):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))


def _step(model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer, settings: FitSettings, batch: Any) -> float:
    device = next(model.parameters()).device
    model.train()
    optimizer.zero_grad()
    with mixed(device, settings.precision):
        loss = objective(move(batch, device))
    if not torch.isfinite(loss):
        raise UserError(f"the training loss became {loss.item()}: lower the learning rate or clip the gradient")
    loss.backward()
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    if settings.clip_value:
        nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)
    optimizer.step()
    return loss.item()


def fit_best(
    model: nn.Module,
    epochs: Iterator[Epoch],
    settings: FitSettings,
    validate: Callable[[], Metrics],
    log: Log,
    *,
    higher_is_better: bool = True,
    progress: Progress | None = None,
) -> Metrics:
    """Validates after every epoch, stops when patience runs out, leaves the best epoch's weights in `model`.

    `progress` is the one that `epochs` (of `fit`) was given, so that the best weights lie in its checkpoints. Returns the best epoch's
    validation metrics (prefixed `valid_`) with its number; selection is by their first key. Raises UserError if that is no finite number.
    """
    best = _Best(model, 1 if higher_is_better else -1)
    if progress:
        progress.keep("best", best)
    for epoch in epochs:
        metrics = validate()
        log({"epoch": epoch.index, "epochs": settings.epochs, "loss": epoch.loss, "seconds": epoch.seconds} | _prefixed(metrics))
        best.offer(epoch.index, metrics)
        if settings.patience and epoch.index - best.epoch >= settings.patience:
            break
    model.load_state_dict(best.state)
    return _prefixed(best.metrics) | {"best_epoch": best.epoch}


def _prefixed(metrics: Metrics) -> Metrics:
    return {f"valid_{name}": value for name, value in metrics.items()}


class _Best:
    """The best epoch so far and its weights, which are a part of each checkpoint."""

    def __init__(self, model: nn.Module, sign: int) -> None:
        self.model, self.sign = model, sign
        self.epoch, self.score, self.metrics = 0, -math.inf, Metrics()
        self.state = self._now()

    def offer(self, epoch: int, metrics: Metrics) -> None:
        name, value = next(iter(metrics.items()))
        if not math.isfinite(value):
            raise UserError(
                f"epoch {epoch}: the validation score {name} became {value}, so no epoch can be chosen: "
                "lower the learning rate, clip the gradient, or look for what is not a number in the validation data"
            )
        if self.sign * value > self.score:
            self.epoch, self.score, self.metrics, self.state = epoch, self.sign * value, metrics, self._now()

    def tensors(self) -> Mapping[str, Tensor]:
        return self.state

    def facts(self) -> Mapping[str, Any]:
        return {"epoch": self.epoch, "score": self.score, "metrics": self.metrics}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self.epoch, self.score, self.metrics = facts["epoch"], facts["score"], facts["metrics"]
        self.state = {name: tensors[name].to(value.device) for name, value in self.state.items()}

    def _now(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}
