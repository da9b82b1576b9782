"""Quality of queue models on one set: prepare, teach and the heavy loads of the pipeline, over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks._cells import Cell, Row, measure
from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.output import Output
from stillhouse.losses.logits import LOSS as LOGITS
from stillhouse.searches.dms import SEARCH as DMS
from stillhouse.stages.distill import DistillSettings, distill
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import SearchSettings, search
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint, machine
from stillhouse.training.budget import Budget
from stillhouse.training.fit import FitSettings
from stillhouse.training.score import score
from stillhouse.training.teaching import WeightedLoss
from stillhouse.workloads.queue import WORKLOAD
from stillhouse.workloads.queue.batch import Batch
from stillhouse.workloads.queue.chain import Chain
from stillhouse.workloads.queue.gradients import Exact

GRADIENTS: dict[str, dict[str, Any]] = {
    "infinity": {"method": "infinity"},
    "exact": {"method": "exact"},
    "truncated": {"method": "truncated", "terms": 16},
    "dc_bptt_16": {"method": "dc_bptt", "ticks": 16},
    "dc_bptt_128": {"method": "dc_bptt", "ticks": 128},
}
DROPPED = 2
"""The best and the worst two of twenty seeds, by error on the test, are left out, which is the published convention."""
_T_975 = {16: 2.131, 20: 2.093}
"""Student's t at 97.5 percent, by the number of values."""


@dataclass(frozen=True)
class Set:
    """Raw data (a generator's settings, whose seed is the cell's, or a file) and the settings that read it."""

    name: str
    raw: Mapping[str, Any] | Path
    prepare: Mapping[str, Any]


def quality(sets: Iterable[Set], methods: Callable[[Set], Mapping[str, Mapping[str, Any]]], seeds: int) -> list[Row]:
    """Rows for every method of every set; a method is a `teach` block with a key `fit`, or without one a rule or a solver."""
    sets = list(sets)
    by_name = {entry.name: entry for entry in sets}
    cells = [
        Cell(entry.name, name, seed, {"prepare": dict(entry.prepare), "raw": _described(entry.raw), **block})
        for entry in sets
        for name, block in methods(entry).items()
        for seed in range(seeds)
    ]
    rows = measure(cells, lambda cell: {cell.set: measured(cell, by_name[cell.set])})
    return rows + _robust(cells)


def _described(raw: Mapping[str, Any] | Path) -> Any:
    return raw.name if isinstance(raw, Path) else dict(raw)


def measured(cell: Cell, entry: Set) -> Metrics:
    """One seed of one method."""
    torch.set_num_threads(1)
    rng, prepared = machine.seed(cell.seed), prepared_folder(cell, entry)
    data = WORKLOAD.load(WORKLOAD.data_settings(**cell.settings.get("data", {})), prepared, test=True)
    assert data.test is not None
    if cell.method.startswith("floor"):
        return WORKLOAD.score((_floor(cell, entry, batch), batch) for batch in data.test.draw(rng))
    if cell.method == "maximum_likelihood":
        model = maximum_likelihood(model_settings(cell.settings["model"]), data)
    else:
        teach(teach_settings(cell), WORKLOAD, prepared=prepared, teacher=cell.folder / "teacher", rng=rng, log=lambda record: None)
        model = checkpoint.read_model(WORKLOAD, cell.folder / ("student" if _distilled(cell, prepared) else "teacher"))
    metrics = score(WORKLOAD, model, data.test)
    return _steady(model, data.test, metrics) if cell.method.startswith("dc_bptt") else metrics


def prepared_folder(cell: Cell, entry: Set) -> Path:
    """Prepared data of the cell's seed."""
    raw = entry.raw
    if not isinstance(raw, Path):
        write_json(cell.folder / "raw.json", {**raw, "generator": "queue", "seed": cell.seed})
        raw = cell.folder / "raw.json"
    prepared, rng = cell.folder / "prepared", torch.Generator().manual_seed(cell.seed)
    prepare(WORKLOAD.prepare_settings(**entry.prepare), WORKLOAD, raw=raw, prepared=prepared, rng=rng, log=lambda record: None)
    return prepared


def _distilled(cell: Cell, prepared: Path) -> bool:
    """With a block `student`, a network of a share of the teacher's MACs is searched and taught; says whether there is one."""
    block = cell.settings.get("student")
    if block is None:
        return False
    data, fit = WORKLOAD.data_settings(**block["data"]), FitSettings(**block["fit"])
    budget, places = Budget(unit="macs", share=block["share"]), {"prepared": prepared, "teacher": cell.folder / "teacher"}
    found = SearchSettings(method="dms", settings=DMS.settings(fit=fit, structure_learning_rate=2e-2), budget=budget, data=data)
    search(found, WORKLOAD, DMS, **places, found=cell.folder / "found", rng=machine.seed(cell.seed), log=lambda record: None)
    wanted = DistillSettings(losses=(WeightedLoss(loss="logits", settings=LOGITS.settings()),), data=data, fit=fit)
    places |= {"found": cell.folder / "found", "student": cell.folder / "student"}
    distill(wanted, WORKLOAD, [LOGITS], **places, rng=machine.seed(cell.seed), log=lambda record: None)
    return True


def model_settings(block: Mapping[str, Any]) -> Any:
    """As the pipeline reads it."""
    return TypeAdapter(WORKLOAD.model_settings).validate_python(block)


def teach_settings(cell: Cell) -> TeachSettings:
    """The cell's block as the pipeline reads it."""
    data = WORKLOAD.data_settings(**cell.settings.get("data", {}))
    return TeachSettings(model=model_settings(cell.settings["model"]), data=data, fit=FitSettings(**cell.settings["fit"]))


def maximum_likelihood(settings: Any, data: Data[Batch]) -> nn.Module:
    """The same prior, its likelihood maximised by a quasi-Newton method on all light samples, with exact gradients."""
    model = WORKLOAD.model(settings, data.sizes, None).double()
    batches = list(data.train.draw(torch.Generator().manual_seed(0)))
    whole = Batch(*(torch.cat(parts) for parts in zip(*((b.load, b.counts, b.watched, b.full) for b in batches), strict=True)))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = WORKLOAD.loss(WORKLOAD.apply(model, whole), whole)
        value.backward()
        return value

    optimizer.step(closure)
    return model


def _steady(model: nn.Module, test: Batches[Batch], own: Metrics) -> Metrics:
    """The rival's errors where its rates are asked for their steady state, which is kinder to it, and those of its own prediction.

    Which epoch is kept was decided by its own prediction.
    """
    assert isinstance(model, Chain)
    model.gradient = Exact()
    return score(WORKLOAD, model, test) | {f"{name}_unrolled": own[name] for name in ("mape", "mse")}


def _floor(cell: Cell, entry: Set, batch: Batch) -> Output:
    """A constant share of time with a full queue: none, or that of the light loads, which no model is told."""
    share = 1e-300 if cell.method == "floor_zero" else cell.settings["share"]
    probability = torch.full_like(batch.counts, (1 - share) / (batch.counts.shape[1] - 1))
    probability[:, -1] = share
    return Output(probability.log(), "classes")


def _robust(cells: Iterable[Cell]) -> list[Row]:
    """Medians, trimmed means and 95 % intervals (the half width is the row's `sd`) of what the cells measured."""
    gathered: dict[tuple[str, str], list[Metrics]] = {}
    for cell in cells:
        if cell.done:
            gathered.setdefault((cell.set, cell.method), []).append(read_json(cell.folder / "metrics.json")[cell.set])
    rows: list[Row] = []
    for (group, method), metrics in gathered.items():
        kept = sorted(metrics, key=lambda found: found["mape"])
        kept = kept[DROPPED:-DROPPED] if len(kept) > 2 * DROPPED + 1 else kept
        for name in ("mape", "mse"):
            values, trimmed = [found[name] for found in metrics], [found[name] for found in kept]
            for metric, centre, width in (
                (f"{name}_median", median(values), _spread_of_median(values)),
                (f"{name}_interval", fmean(values), _half_width(values)),
                (f"{name}_trimmed", fmean(trimmed), _half_width(trimmed)),
            ):
                entry = {"set": group, "method": method, "metric": metric, "mean": centre, "sd": width, "seeds": len(values)}
                rows.append(entry)
    return rows


def _half_width(values: list[float]) -> float:
    return _T_975.get(len(values), 1.96) * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _spread_of_median(values: list[float]) -> float:
    """The standard deviation of the medians of a thousand resamples."""
    if len(values) < 2:
        return 0.0
    drawn = torch.randint(len(values), (1000, len(values)), generator=torch.Generator().manual_seed(0))
    return float(torch.tensor(values, dtype=torch.float64)[drawn].quantile(0.5, 1).std())
