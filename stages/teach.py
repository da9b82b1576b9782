"""teach: train the big model that students are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.training import checkpoint, curve, machine, table
from stillhouse.training.fit import FitSettings, fit, fit_best
from stillhouse.training.progress import Progress
from stillhouse.training.score import first_batch, score


class TeachSettings(Settings):
    """A teacher: its network, what it is trained on, and how."""

    model: Any
    data: Any
    fit: FitSettings


SETTINGS = TeachSettings


def teach(
    settings: TeachSettings,
    workload: Workload[Any],
    *,
    prepared: Path,
    teacher: Path,
    rng: torch.Generator,
    log: Log,
    scratch: Path | None = None,
) -> Metrics:
    """Trains on the training split and keeps the epoch that is best on the validation split."""
    data, device = workload.load(settings.data, prepared), machine.device()
    model = workload.model(settings.model, data.sizes, None).to(device)
    example = first_batch(data.valid, device)
    progress = Progress(scratch)
    record = curve.Curve(log, progress)
    best = fit_best(
        model,
        fit(model, lambda batch: workload.loss(workload.apply(model, batch), batch), data.train, settings.fit, rng, progress=progress),
        settings.fit,
        lambda: score(workload, model, data.valid),
        record,
        higher_is_better=workload.higher_is_better,
        progress=progress,
    )
    description = {"model": settings.model.model_dump(mode="json"), "sizes": dict(data.sizes), "architecture": None}
    checkpoint.write_model(teacher, model.state_dict(), description)
    table.keep(workload, prepared, teacher)
    record.write(teacher / "curve.csv")
    return best | cost.summary(model, lambda: workload.apply(model, example))
