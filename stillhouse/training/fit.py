"""The training loop: one for teachers, supernets and students."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import Split
from stillhouse.training import ranks
from stillhouse.training.loader import Loader
from stillhouse.training.optimizer import OPTIMIZERS
from stillhouse.training.place import Place
from stillhouse.training.precision import Precision, compiled
from stillhouse.training.progress import Progress
from stillhouse.training.spread import Objective, Spread


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
    """What a step multiplies in on a CUDA device: tf32 has the range of single precision and ten bits behind the point, bf16 seven."""
    compile: bool = False
    """Whether PyTorch's compiler makes one program of a step's loss and its gradient: a minute at first, and other last digits."""
    devices: int = Field(1, gt=0, le=1024, exclude=True)
    """Over how many devices each batch is split; what comes out differs by rounding alone, so it is no part of what makes a result."""
    accumulate: int = Field(1, gt=0)
    """In how many parts each device takes its rows of a batch, one after the other: memory for a part of them is enough."""
    checkpointing: bool = False
    """Whether the gradient computes each residual block once more from its input, so that nothing within it need be kept until then."""
    workers: int = Field(0, ge=0, le=1024, exclude=True)
    """How many processes build batches before they are wanted; 0 builds each when it is. The batches are the same bytes, in the same
    order, so this and the next are no part of what makes a result."""
    pinned: bool = Field(False, exclude=True)
    """Whether batches lie in memory from which a CUDA device copies while it computes; without one nothing is done."""

    @model_validator(mode="after")
    def _kept_by_one(self) -> FitSettings:
        if self.compile and self.checkpointing:
            raise ValueError("compile and checkpointing should not both be true: the compiler decides by itself what is kept")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing: results of before the setting keep their fingerprint."""
        values: dict[str, Any] = plain(self)
        silent = (("accumulate", 1), ("compile", False), ("checkpointing", False))
        return {name: value for name, value in values.items() if (name, value) not in silent}


@dataclass(frozen=True)
class Epoch:
    """One finished pass: its number from 1, the mean loss of its batches and its seconds."""

    index: int
    loss: float
    seconds: float


DIVERGED = 1e6
"""How many times the first epoch's loss (or 1, if that is more) an epoch's loss may be."""
LOOK = 100
"""Steps between two looks at the loss within an epoch: a look waits for the device."""


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
    split: Split | None = None,
) -> Iterator[Epoch]:
    """Trains `model` on `objective(batch)` (a scalar), yielding after every epoch; goes on from the checkpoint in `progress`, if any.

    `model` is all that is trained and checkpointed (an nn.ModuleDict for several parts), on the device where it lies. An epoch is saved
    when the caller asks for the next one, so that what the caller makes of it (a validation, a curve) is in the same checkpoint.
    `parameters` are optimiser groups; a group with "constant": True is left out of the learning-rate schedule. `split` is the task's own;
    with it, and where the settings say so, the objective is asked for parts, `objective(part, share)`. Raises UserError if the loss is no
    finite number, or diverges, or if the settings want other devices than there are, workers where batches cannot be built by others, or
    checkpointing of a network that has no blocks for it.
    """
    _require_devices(settings)
    objective = compiled(objective) if settings.compile else objective
    progress = progress or Progress()
    groups = parameters or [{"params": list(model.parameters())}]
    optimizer = OPTIMIZERS[settings.optimizer](groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    place = Place(model, optimizer, rng)
    spread = Spread(model, objective, split, settings.accumulate, settings.precision, again=settings.checkpointing)
    loader = Loader(settings.workers, settings.pinned)
    progress.keep("training", place)
    progress.restore()
    while place.epoch < settings.epochs:
        started = time.perf_counter()
        spread.require_same()
        for number, batch in enumerate(place.batches(batches, loader), start=1):
            with place.telling():
                place.count(_step(spread, optimizer, settings, batch))
            if after_step:
                after_step()
            if number % LOOK == 0:
                place.require_finite()
            progress.save_in_time()
        loss = place.finish()
        _schedule(optimizer, rates, settings, place.epoch)
        _refuse_divergence(loss, place)
        yield Epoch(place.epoch, loss, time.perf_counter() - started)
        progress.save()


def _require_devices(settings: FitSettings) -> None:
    if settings.devices != ranks.count():
        raise UserError(f"fit.devices - wanted {settings.devices} - this training has {ranks.count()}: only stages start others")
    if settings.compile and settings.devices > 1:
        raise UserError(
            f"fit.compile - wanted false where fit.devices is {settings.devices} - got true: what devices exchange is not compiled"
        )


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


def _step(spread: Spread, optimizer: torch.optim.Optimizer, settings: FitSettings, batch: Any) -> Tensor:
    """The loss before the step. Nothing here waits for the device."""
    spread.model.train()
    optimizer.zero_grad()
    loss = spread.backward(batch)
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(spread.model.parameters(), settings.clip_norm)
    if settings.clip_value:
        nn.utils.clip_grad_value_(spread.model.parameters(), settings.clip_value)
    optimizer.step()
    return loss


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
        metrics = ranks.from_first(validate())
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
