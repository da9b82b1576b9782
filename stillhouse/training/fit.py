"""The training loop: one for teachers, supernets and students."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training import checkpoint
from stillhouse.training.machine import move
from stillhouse.training.precision import Precision, mixed


class FitSettings(Settings):
    """How weights are trained; everything here can change a result, so everything here is tracked."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
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


def fit(
    model: nn.Module,
    objective: Objective,
    batches: Batches[Any],
    settings: FitSettings,
    rng: torch.Generator,
    *,
    scratch: Path | None = None,
    parameters: list[dict[str, Any]] | None = None,
    after_step: Callable[[], None] | None = None,
) -> Iterator[Epoch]:
    """Trains `model` on `objective(batch)` (a scalar), yielding after every epoch; resumes from `scratch` if it holds a state.

    `model` is all that is trained and checkpointed (an nn.ModuleDict for several parts), on the device where it lies.
    `parameters` are optimiser groups; a group with "constant": True is left out of the learning-rate schedule.
    """
    groups = parameters or [{"params": list(model.parameters())}]
    optimizer = _OPTIMIZERS[settings.optimizer](groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [_factor(settings, group) for group in optimizer.param_groups])
    state = scratch / "state" if scratch else None
    done = 0
    if state and state.exists():
        done = checkpoint.read_training_state(state, model, optimizer, rng)["epoch"]
        schedule.last_epoch = done
    for index in range(done + 1, settings.epochs + 1):
        started, total = time.perf_counter(), 0.0
        for batch in batches.draw(rng):
            total += _step(model, objective, optimizer, settings, batch)
            if after_step:
                after_step()
        schedule.step()
        if state:
            checkpoint.write_state(state, model, optimizer, rng, {"epoch": index})
        yield Epoch(index, total / batches.length, time.perf_counter() - started)


def _factor(settings: FitSettings, group: dict[str, Any]) -> Callable[[int], float]:
    if settings.schedule == "constant" or group.get("constant"):
        return lambda epoch: 1.0
    return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / settings.epochs, 1.0)))


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
    scratch: Path | None = None,
) -> Metrics:
    """Validates after every epoch, stops when patience runs out, leaves the best epoch's weights in `model`.

    Returns the best epoch's validation metrics (prefixed `valid_`) with its number; selection is by their first key.
    """
    folder = scratch / "best" if scratch else None
    best = _Best(model, folder, 1 if higher_is_better else -1)
    for epoch in epochs:
        metrics = validate()
        log({"epoch": epoch.index, "epochs": settings.epochs, "loss": epoch.loss, "seconds": epoch.seconds} | _prefixed(metrics))
        best.offer(epoch.index, metrics)
        if settings.patience and epoch.index - best.facts["epoch"] >= settings.patience:
            break
    model.load_state_dict(best.state)
    return _prefixed(best.facts["metrics"]) | {"best_epoch": best.facts["epoch"]}


def _prefixed(metrics: Metrics) -> Metrics:
    return {f"valid_{name}": value for name, value in metrics.items()}


class _Best:
    """The best state so far, in memory and in the scratch folder."""

    def __init__(self, model: nn.Module, folder: Path | None, sign: int) -> None:
        self.model, self.folder, self.sign = model, folder, sign
        self.facts: dict[str, Any] = {"epoch": 0, "score": -math.inf, "metrics": {}}
        self.state = {name: value.clone() for name, value in model.state_dict().items()}
        if folder and folder.exists():
            self.facts, self.state = checkpoint.read_record(folder), checkpoint.read_state(folder)

    def offer(self, epoch: int, metrics: Metrics) -> None:
        score = self.sign * next(iter(metrics.values()))
        if not score > self.facts["score"]:
            return
        self.facts = {"epoch": epoch, "score": score, "metrics": metrics}
        self.state = {name: value.clone() for name, value in self.model.state_dict().items()}
        if self.folder:
            checkpoint.write_model(self.folder, self.state, self.facts)
