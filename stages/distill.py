"""distill: train the student on the task and on what the teacher answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss, Workload
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.training import checkpoint, curve, machine, table
from stillhouse.training.fit import FitSettings, fit, fit_best
from stillhouse.training.score import first_batch, score


class WeightedLoss(Settings):
    """One distillation loss by its name, with its weight and its own settings."""

    loss: str
    weight: float = Field(1.0, gt=0)
    settings: Any


class DistillSettings(Settings):
    """How the student is trained; no losses means that the teacher is not asked at all."""

    losses: tuple[WeightedLoss, ...] = ()
    task_weight: float = Field(1.0, ge=0)
    start: Literal["inherited", "fresh"] = "inherited"
    """Whether the student starts from the weights that the search cut out of its supernet."""
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs over which the weight of the distillation losses rises linearly from 0."""
    data: Any
    fit: FitSettings


SETTINGS = DistillSettings


class Teaching(nn.Module):
    """The sum of the weighted distillation losses of one teacher, with their adapters and the warm-up's step count."""

    steps: Tensor

    def __init__(self, losses: list[tuple[float, nn.Module]], warmup_steps: float) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in losses]
        self.terms = nn.ModuleList(term for _, term in losses)
        self.warmup_steps = warmup_steps
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, student: Output, teacher: Output) -> Tensor:
        """A scalar."""
        share = min(1.0, float(self.steps) / self.warmup_steps) if self.warmup_steps else 1.0
        terms = [weight * term(student, teacher) for weight, term in zip(self.weights, self.terms, strict=True)]
        self.steps += 1
        return share * torch.stack(terms).sum()


def distill(
    settings: DistillSettings,
    workload: Workload[Any],
    losses: list[Loss],
    *,
    prepared: Path,
    teacher: Path,
    found: Path,
    student: Path,
    rng: torch.Generator,
    log: Log,
    scratch: Path | None = None,
) -> Metrics:
    """Trains the found architecture, keeping the epoch that is best on the validation split; writes the student alone."""
    data, device = workload.load(settings.data, prepared), machine.device()
    read = checkpoint.read_model if settings.start == "inherited" else checkpoint.read_untrained
    model = read(workload, found).to(device)
    example = first_batch(data.valid, device)
    parts = nn.ModuleDict({"student": model})
    if losses:
        master = checkpoint.read_model(workload, teacher).to(device).requires_grad_(False)
        pair = _answers(workload, model, master, example)
        parts["teaching"] = _teaching(settings, losses, pair, data.train.length).to(device)
        objective = _taught(settings, workload, parts, master)
    else:
        objective = _untaught(workload, model)
    record = curve.Curve(log, scratch)
    best = fit_best(
        model,
        fit(parts, objective, data.train, settings.fit, rng, scratch=scratch),
        settings.fit,
        lambda: score(workload, model, data.valid),
        record,
        higher_is_better=workload.higher_is_better,
        scratch=scratch,
    )
    origin = {"search": read_json(found / "search.json"), "losses": [item.loss for item in settings.losses]}
    checkpoint.write_model(student, model.state_dict(), checkpoint.read_record(found) | origin)
    table.keep(workload, prepared, student)
    record.write(student / "curve.csv")
    return best | cost.summary(model, lambda: workload.apply(model, example))


def _answers(workload: Workload[Any], student: nn.Module, teacher: nn.Module, batch: Any) -> tuple[Output, Output]:
    with torch.no_grad():
        return workload.apply(student.eval(), batch), workload.apply(teacher, batch)


def _teaching(settings: DistillSettings, losses: list[Loss], pair: tuple[Output, Output], steps_per_epoch: int) -> Teaching:
    made = [(item.weight, loss.make(item.settings, *pair)) for item, loss in zip(settings.losses, losses, strict=True)]
    return Teaching(made, settings.warmup_epochs * steps_per_epoch)


def _taught(settings: DistillSettings, workload: Workload[Any], parts: nn.ModuleDict, teacher: nn.Module) -> Callable[[Any], Tensor]:
    def objective(batch: Any) -> Tensor:
        answer = workload.apply(parts["student"], batch)
        with torch.no_grad():
            wanted = workload.apply(teacher, batch)
        return settings.task_weight * workload.loss(answer, batch) + parts["teaching"](answer, wanted)

    return objective


def _untaught(workload: Workload[Any], model: nn.Module) -> Callable[[Any], Tensor]:
    return lambda batch: workload.loss(workload.apply(model, batch), batch)
