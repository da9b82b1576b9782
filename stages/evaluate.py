"""evaluate: what the student keeps of its teacher on the test split, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor, nn

from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.looked import numbers
from stillhouse.contracts.parts import Evaluation, Pair, Workload
from stillhouse.contracts.runtime import MakeClock
from stillhouse.contracts.settings import Settings
from stillhouse.training import checkpoint, machine
from stillhouse.training.budget import measured
from stillhouse.training.score import first_batch
from stillhouse.training.timing import sized_batch

USUAL = ("quality", "cost", "latency", "agreement")
"""The evaluations that every report has, since the comparison and the gate read them; the first gives the metric to beat."""
_MODELS = ("teacher", "student")
_DESCRIBED = ("metric", "higher_is_better", "search", "losses", "device")
_REMARKS = "remarks"


class Chosen(Settings):
    """One evaluation by its name, with its own settings."""

    evaluation: str
    settings: Any


class EvaluateSettings(Settings):
    """What is measured, and how the test data are batched."""

    evaluations: tuple[Chosen, ...] = ()
    data: Any

    @model_validator(mode="after")
    def _each_once(self) -> EvaluateSettings:
        names = [item.evaluation for item in self.evaluations]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"should name an evaluation once; {', '.join(twice)} stands twice")
        return self


SETTINGS = EvaluateSettings


def complete(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block of params.yaml with the usual evaluations that it does not name at the end.

    `runtimes: [...]` is short for the evaluation of that name, and the old key for latency is read too.
    """
    block = dict(block)
    items = block.get("evaluations") or []
    if not isinstance(items, list):
        return block  # the settings class says what is wrong
    if "latency_repetitions" in block:
        items = [*items, {"evaluation": "latency", "settings": {"rounds": block.pop("latency_repetitions"), "seconds": 0}}]
    if "runtimes" in block:
        items = [*items, {"evaluation": "runtimes", "settings": {"runtimes": block.pop("runtimes")}}]
    named = [item.get("evaluation") for item in items if isinstance(item, dict)]
    return block | {"evaluations": [*items, *({"evaluation": name} for name in USUAL if name not in named)]}


def evaluate(
    settings: EvaluateSettings,
    workload: Workload[Any],
    evaluations: list[Evaluation],
    clock: MakeClock | None = None,
    *,
    prepared: Path,
    teacher: Path,
    student: Path,
    report: Path,
    rng: torch.Generator,
    log: Log,
) -> Metrics:
    """Runs each evaluation on the same two models and the same data; writes report.json.

    `clock` is for a student whose budget is a latency, which is measured again as the search did. Raises UserError if two evaluations give
    a metric of the same name, or one gives what is no finite number.
    """
    device = machine.device()
    data = workload.load(settings.data, prepared, test=True)
    assert data.test is not None
    large, small = (checkpoint.read_model(workload, path).to(device) for path in (teacher, student))
    pair = Pair(workload, large, small, data.test, first_batch(data.valid, device), device, data.train, data.valid)
    found: Metrics = {}
    marks = _marks(pair)
    for item, evaluation in sorted(zip(settings.evaluations, evaluations, strict=True), key=_place):
        found = _joined(found, _numbers(evaluation.run(pair, item.settings, rng), item.evaluation), item.evaluation)
        _require_untouched(marks, _marks(pair), item.evaluation)
    search = checkpoint.read_record(student)["search"]
    if clock and "latency" in search:
        example = sized_batch(workload, settings.data, prepared, search["latency"]["batch"])
        found |= _latencies(clock, pair, example, search["latency"])
    found |= _in_unit(str(search["unit"]), pair, found)
    report.mkdir(parents=True, exist_ok=True)
    rows = _rows(found)
    others = {name: value for name, value in found.items() if not name.startswith(("teacher_", "student_"))}
    remarks = {_REMARKS: pair.remarks} if pair.remarks else {}
    write_json(report / "report.json", {**others, **rows, **_description(workload, rows, student), **remarks})
    log(others | rows["student"])
    return found


def _marks(pair: Pair[Any]) -> dict[str, object]:
    """What tells that a network is as it was: the modes of its modules, and of each tensor a sum and a hash in which no order counts."""
    return {f"{who}.{name}": mark for who, model in pair.models.items() for name, mark in _marks_of(model)}


def _marks_of(model: nn.Module) -> Iterator[tuple[str, object]]:
    yield "training", [module.training for module in model.modules()]
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.numel():
            yield name, repr((torch.hash_tensor(tensor).item(), tensor.double().sum().item()))


def _require_untouched(before: Mapping[str, object], after: Mapping[str, object], name: str) -> None:
    """The next evaluation would measure another network. Raises UserError if one has changed."""
    if changed := [place for place in before if before[place] != after.get(place)]:
        wanted = "wanted models that are left as they are, as others measure them too"
        raise UserError(f"the evaluation {name!r} - {wanted} - it changes {changed[0]}: let it work on `copy.deepcopy(model)`")


def _latencies(clock: MakeClock, pair: Pair[Any], example: Any, measured_on: Mapping[str, Any]) -> Metrics:
    made = clock(pair.workload, example, runtime=measured_on["runtime"], threads=measured_on["threads"])
    return {f"{who}_latency": made.milliseconds(model) for who, model in pair.models.items()}


def _in_unit(unit: str, pair: Pair[Any], found: Metrics) -> Metrics:
    """Both models in the unit of the budget, which the gate compares, unless that is measured already."""
    if f"student_{unit}" in found:
        return {}
    return {
        f"{who}_{unit}": measured(unit, model, lambda network: pair.workload.apply(network, pair.example))
        for who, model in pair.models.items()
    }


def _place(chosen: tuple[Chosen, Evaluation]) -> int:
    name = chosen[0].evaluation
    return USUAL.index(name) if name in USUAL else len(USUAL)


def _numbers(given: object, name: str) -> Metrics:
    """What an evaluation gives, as finite numbers of Python's own. Raises UserError at anything else."""
    found = numbers(given, f"the evaluation {name!r}")
    for metric, value in found.items():
        if not math.isfinite(value):
            raise UserError(f"the evaluation {name!r}, {metric!r:.100} - wanted a finite number - got {value}")
    return found


def _joined(found: Metrics, new: Metrics, name: str) -> Metrics:
    taken = {*found, *_MODELS, *_DESCRIBED, _REMARKS} & set(new)
    if taken:
        raise UserError(f"the evaluation {name!r} gives {', '.join(sorted(taken))}, a name that is taken: rename the metric in its file")
    return found | new


def _rows(found: Metrics) -> dict[str, Metrics]:
    """The metrics `teacher_NAME` and `student_NAME`, by model."""
    return {who: {name.removeprefix(f"{who}_"): value for name, value in found.items() if name.startswith(f"{who}_")} for who in _MODELS}


def _description(workload: Workload[Any], rows: Mapping[str, Metrics], student: Path) -> dict[str, Any]:
    record = checkpoint.read_record(student)
    values = (next(iter(rows["student"])), workload.higher_is_better, record["search"], record["losses"], machine.device_name())
    return dict(zip(_DESCRIBED, values, strict=True))
