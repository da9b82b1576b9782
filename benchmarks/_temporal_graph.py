"""Quality of temporal-graph models on one set: prepare, teach and the test split of the pipeline, over seeds, and floors.

The learning rate of every method is the best of `RATES` on the validation split with the first seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from benchmarks._cells import Cell, Row, measure
from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.parts import Workload
from stillhouse.stages.prepare import prepare
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint, machine
from stillhouse.training.fit import FitSettings
from stillhouse.training.score import EVALUATION_SEED, score
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch

RATES = (3e-3, 1e-2)
Block = dict[str, Any]
Floor = Callable[[Data[Batch]], Metrics]


@dataclass(frozen=True)
class Set:
    """Raw data with the settings that read it; `floors` need no training by gradient."""

    name: str
    raw: Path
    prepare: Block
    data: Block
    fit: Block
    floors: Mapping[str, Floor] = field(default_factory=dict)


def run(
    sets: Iterable[Set],
    methods: Mapping[str, Block],
    seeds: Iterable[int],
    controls: Mapping[str, Workload[Batch]] = MappingProxyType({}),
) -> list[Row]:
    """Rows for every floor and every model of `methods` (the model's settings, each method at the best of all rates).

    A method named in `controls` is trained and asked by that variant of the workload.
    """
    sets, seeds = list(sets), list(seeds)
    by_name = {entry.name: entry for entry in sets}
    cells = [Cell(entry.name, floor, EVALUATION_SEED, {"prepare": entry.prepare}) for entry in sets for floor in entry.floors]
    for entry in sets:
        for name, model in methods.items():
            cells += [Cell(entry.name, name, seed, _settings(entry, model)) for seed in seeds]
    return measure(cells, lambda cell: {cell.set: _measured(cell, by_name[cell.set], seeds[0], controls.get(cell.method, WORKLOAD))})


def _settings(entry: Set, model: Block) -> Block:
    return {"prepare": entry.prepare, "model": model, "data": entry.data, "fit": entry.fit, "rates": list(RATES)}


def _measured(cell: Cell, entry: Set, first: int, workload: Workload[Batch]) -> Metrics:
    prepared = _prepared(cell.folder / "prepared", entry)
    if cell.method in entry.floors:
        return entry.floors[cell.method](_loaded(entry, prepared, WORKLOAD))
    rate = _best_rate(Cell(cell.set, cell.method, first, cell.settings), entry, prepared, workload)
    return _trained(cell, entry, prepared, workload, rate)[1]


def _best_rate(cell: Cell, entry: Set, prepared: Path, workload: Workload[Batch]) -> float:
    """The rates are tried once for all seeds."""
    quality = {rate: _trained(cell, entry, prepared, workload, rate)[0] for rate in RATES}
    return max(quality, key=quality.__getitem__)


def _trained(cell: Cell, entry: Set, prepared: Path, workload: Workload[Batch], rate: float) -> tuple[float, Metrics]:
    """The validation score and the test metrics; what was trained before is not trained again."""
    facts = cell.folder / f"rate-{rate:g}.json"
    if not facts.exists():
        rng = machine.seed(cell.seed)
        settings = TeachSettings(
            model=TypeAdapter(WORKLOAD.model_settings).validate_python(cell.settings["model"]),
            data=WORKLOAD.data_settings(**entry.data),
            fit=FitSettings(**entry.fit, learning_rate=rate),
        )
        teacher = cell.folder / "teacher"
        best = teach(settings, workload, prepared=prepared, teacher=teacher, rng=rng, log=lambda record: None)
        valid = next(value for name, value in best.items() if name.startswith("valid_"))
        test = score(workload, checkpoint.read_model(workload, teacher).to(machine.device()), _loaded(entry, prepared, workload).test)
        facts_of_cost = {name: best[name] for name in ("parameters", "macs")}
        write_json(facts, {"valid": valid, "test": test | {"learning_rate": rate} | facts_of_cost})
        print(f"{cell.set} {cell.method} seed {cell.seed}: rate {rate:g}, valid {valid:.4f}", flush=True)
    known = read_json(facts)
    return known["valid"], known["test"]


def _prepared(folder: Path, entry: Set) -> Path:
    if not (folder / "facts.json").exists():
        settings = WORKLOAD.prepare_settings(**entry.prepare)
        prepare(settings, WORKLOAD, raw=entry.raw, prepared=folder, rng=machine.seed(EVALUATION_SEED), log=lambda record: None)
    return folder


def _loaded(entry: Set, prepared: Path, workload: Workload[Batch]) -> Data[Batch]:
    return workload.load(WORKLOAD.data_settings(**entry.data), prepared, test=True)


def of_equal_size(models: Mapping[str, Block], sizes: Mapping[str, int], parameters: int) -> dict[str, Block]:
    """Every model at the width whose number of parameters comes closest to `parameters`."""
    return {name: model | {"width": min(range(2, 129), key=partial(_distance, model, sizes, parameters))} for name, model in models.items()}


def _distance(model: Block, sizes: Mapping[str, int], parameters: int, width: int) -> int:
    return abs(_count(build(model | {"width": width}, sizes)) - parameters)


def build(model: Block, sizes: Mapping[str, int]) -> nn.Module:
    """A network by its plain settings."""
    return WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(model), sizes, None)


def _count(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


def count(model: Block, sizes: Mapping[str, int]) -> int:
    """The parameters of a network by its plain settings."""
    return _count(build(model, sizes))
