"""distill: train the student on the task and on the teacher's outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parts import Loss, Workload
from stillhouse.training import checkpoint, curve, facts, machine, ranks, table
from stillhouse.training.progress import Progress
from stillhouse.training.teaching import TeachingSettings, train


class DistillSettings(TeachingSettings):
    """How the student is trained, and on what."""

    data: Any


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
    """Trains the found architecture, keeping the epoch that is best on the validation split; writes the student alone."""
    data, device = workload.load(settings.data, prepared), machine.device()
    read = checkpoint.read_model if settings.start == "inherited" else checkpoint.read_untrained
    model = read(workload, found).to(device)
    master = checkpoint.read_model(workload, teacher).to(device).requires_grad_(False) if losses else None
    progress = Progress(scratch)
    record = curve.Curve(log, progress)
    task = facts.told(workload, teacher, device) if losses else workload
    metrics = train(task, data, model, master, settings, losses, rng=rng, log=record, progress=progress)
    if not ranks.first():
        return metrics
    origin = {"search": read_json(found / "search.json"), "losses": [item.loss for item in settings.losses]}
    checkpoint.write_model(student, model.state_dict(), checkpoint.read_record(found) | origin)
    table.keep(workload, prepared, student)
    record.write(student / "curve.csv")
    return metrics
