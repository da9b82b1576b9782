"""distill: train the student on the task and on the teacher's outputs, or take it as it was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import model_validator
from torch import nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parts import Loss, Workload
from stillhouse.space import cost
from stillhouse.training import checkpoint, curve, facts, machine, ranks, table
from stillhouse.training.fit import FitSettings
from stillhouse.training.progress import Progress
from stillhouse.training.score import first_batch
from stillhouse.training.scored import scored
from stillhouse.training.teaching import TeachingSettings, train


class DistillSettings(TeachingSettings):
    """How the student is trained, and on what; without a `fit` it keeps the weights that the search has handed on."""

    fit: FitSettings | None  # type: ignore[assignment]  # what trains is asked only where there is one
    data: Any

    @model_validator(mode="after")
    def _as_cut(self) -> DistillSettings:
        if self.fit is None and (self.losses or self.start == "fresh"):
            raise ValueError("losses should be left out, and start be inherited, where nothing is trained: fit is null")
        return self


SETTINGS = DistillSettings


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
    """Trains the found architecture, keeping the epoch that is best on the validation split; writes the student alone.

    Raises UserError if nothing is trained and the search has handed on no weights.
    """
    if settings.fit is None and not checkpoint.read_record(found)["inherited"]:
        raise UserError("distill.fit - should say how the student is trained - the search hands on no weights: give it epochs")
    data, device = workload.load(settings.data, prepared), machine.device()
    read = checkpoint.read_model if settings.start == "inherited" else checkpoint.read_untrained
    model = read(workload, found).to(device)
    master = checkpoint.read_model(workload, teacher).to(device).requires_grad_(False) if losses else None
    progress = Progress(scratch)
    record = curve.Curve(log, progress)
    task = facts.told(workload, teacher, device) if losses else workload
    if settings.fit is None:
        metrics = _as_cut(task, data, model, record)
    else:
        metrics = train(task, data, model, master, settings, losses, rng=rng, log=record, progress=progress)
    if not ranks.first():
        return metrics
    origin = {"search": read_json(found / "search.json"), "losses": [item.loss for item in settings.losses]}
    checkpoint.write_model(student, model.state_dict(), checkpoint.read_record(found) | origin)
    table.keep(workload, prepared, student)
    record.write(student / "curve.csv")
    return metrics


def _as_cut(workload: Workload[Any], data: Data[Any], model: nn.Module, record: curve.Curve) -> Metrics:
    example = first_batch(data.valid, next(model.parameters()).device)
    return scored(workload, model, data, record) | cost.summary(model, lambda: workload.apply(model, example))
