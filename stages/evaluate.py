"""evaluate: what the student keeps of its teacher on the test split, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from stillhouse.contracts.data import Batches, Log, Metrics
from stillhouse.contracts.files import write_json
from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.training import checkpoint, latency, machine
from stillhouse.training.score import agreement, first_batch, passes, score


class EvaluateSettings(Settings):
    """How often latency is measured, and how the test data are batched."""

    latency_repetitions: int = Field(20, gt=0)
    data: Any


SETTINGS = EvaluateSettings


def evaluate(
    settings: EvaluateSettings,
    workload: Workload[Any],
    *,
    prepared: Path,
    teacher: Path,
    student: Path,
    report: Path,
    rng: torch.Generator,
    log: Log,
) -> Metrics:
    """Scores both models on the same batches, interleaves their latency and writes report.json."""
    device = machine.device()
    data = workload.load(settings.data, prepared, test=True)
    test, example = data.test, first_batch(data.valid, device)
    assert test is not None
    models = {
        "teacher": checkpoint.read_model(workload, teacher).to(device),
        "student": checkpoint.read_model(workload, student).to(device),
    }
    rows = {name: _measured(workload, model, test, example) for name, model in models.items()}
    metric = next(iter(rows["student"]))
    times = latency.interleaved(_calls(workload, models, first_batch(test, device)), settings.latency_repetitions, device)
    for name, (median, spread) in times.items():
        rows[name] |= {"latency_ms": median, "latency_spread_ms": spread}
    alike = _agreement(workload, models, test)
    record = checkpoint.read_record(student)
    description = {"metric": metric, "higher_is_better": workload.higher_is_better}
    description |= {"search": record["search"], "losses": record["losses"]}
    report.mkdir(parents=True, exist_ok=True)
    write_json(report / "report.json", {**rows, "agreement": alike, **description})
    log({"agreement": alike} | rows["student"])
    return {f"{who}_{name}": value for who, row in rows.items() for name, value in row.items()} | {"agreement": alike}


def _measured(workload: Workload[Any], model: nn.Module, test: Batches[Any], example: Any) -> Metrics:
    """Costs are those of a validation batch, on which the budget was set."""
    return score(workload, model, test) | cost.summary(model, lambda: workload.apply(model, example))


def _calls(workload: Workload[Any], models: Mapping[str, nn.Module], batch: Any) -> dict[str, Any]:
    def caller(model: nn.Module) -> Any:
        def call() -> None:
            with torch.no_grad():
                workload.apply(model, batch)

        return call

    return {name: caller(model.eval()) for name, model in models.items()}


def _agreement(workload: Workload[Any], models: Mapping[str, nn.Module], test: Batches[Any]) -> float:
    both = zip(passes(workload, models["teacher"], test), passes(workload, models["student"], test), strict=True)
    compare = workload.agreement or agreement
    return float(torch.cat([compare(first, second) for (first, _), (second, _) in both]).mean())
