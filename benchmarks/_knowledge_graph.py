"""Quality of knowledge-graph models on one set: prepare, teach and the test lists of the pipeline, over seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from benchmarks._cells import Cell, Row, measure
from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.stages.prepare import prepare
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint, machine
from stillhouse.training.fit import FitSettings
from stillhouse.training.score import EVALUATION_SEED, score
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch, triple_codes

LISTS = ("clean", "authors")
More = Callable[[nn.Module, Data[Batch]], Metrics]
"""more(model, data with the test) -> metrics."""


@dataclass(frozen=True)
class Set:
    """Raw data with the settings that read it, and which candidate lists to rank on."""

    name: str
    raw: Path
    prepare: Mapping[str, Any]
    lists: tuple[str, ...] = LISTS


def run(
    sets: Iterable[Set],
    methods: Mapping[str, Mapping[str, Any]],
    seeds: Iterable[int],
    controls: Mapping[str, Workload[Batch]] = MappingProxyType({}),
    more: More | None = None,
) -> list[Row]:
    """Rows for every model of `methods` (a `teach` block each), the same untrained, and the reverse-edge rule.

    A method named in `controls` is built by that variant of the workload; `more` measures further metrics of a model. A set for which it
    does has a name of its own, since what is measured is kept.
    """
    sets, seeds = list(sets), list(seeds)
    by_name = {entry.name: entry for entry in sets}
    cells = []
    for name, block in methods.items():
        for entry in sets:
            settings = {"prepare": dict(entry.prepare), **block}
            cells += [Cell(entry.name, kind, seed, settings) for kind in (name, f"{name}_untrained") for seed in seeds]
    cells += [Cell(entry.name, "reverse_edge", EVALUATION_SEED, {"prepare": dict(entry.prepare)}) for entry in sets]

    def one(cell: Cell) -> dict[str, Metrics]:
        return _measured(cell, by_name[cell.set], controls.get(cell.method.removesuffix("_untrained"), WORKLOAD), more)

    return measure(cells, one)


def _measured(cell: Cell, entry: Set, workload: Workload[Batch], more: More | None) -> dict[str, Metrics]:
    prepared = {name: _prepared(cell.folder / name, entry, name) for name in entry.lists}
    suffix = {name: f"{entry.name}-{name}" if len(entry.lists) > 1 else entry.name for name in entry.lists}
    if cell.method == "reverse_edge":
        return {suffix[name]: _rule(path) for name, path in prepared.items()}
    rng = machine.seed(cell.seed)
    settings = TeachSettings(
        model=TypeAdapter(WORKLOAD.model_settings).validate_python(cell.settings["model"]),
        data=WORKLOAD.data_settings(**cell.settings["data"]),
        fit=FitSettings(**cell.settings["fit"]),
    )
    first = prepared[entry.lists[0]]
    if cell.method.endswith("_untrained"):
        model = workload.model(settings.model, _loaded(settings.data, first).sizes, None)
        facts: Metrics = {}
    else:
        model, facts = _taught(cell, settings, workload, first, rng)
    model = model.to(machine.device())
    found = {}
    for lists, path in prepared.items():
        data = _loaded(settings.data, path)
        found[suffix[lists]] = score(WORKLOAD, model, data.test) | facts | (more(model, data) if more else {})
    return found


def _taught(
    cell: Cell, settings: TeachSettings, workload: Workload[Batch], prepared: Path, rng: torch.Generator
) -> tuple[nn.Module, Metrics]:
    """A model that an earlier measurement of this cell has trained is not trained again."""
    facts, teacher = cell.folder / "facts.json", cell.folder / "teacher"
    if not facts.exists():
        started = time.perf_counter()
        best = teach(settings, workload, prepared=prepared, teacher=teacher, rng=rng, log=_say(cell))
        write_json(facts, {"train_seconds": time.perf_counter() - started, "best_epoch": best["best_epoch"]})
    return checkpoint.read_model(workload, teacher), read_json(facts)


def _prepared(folder: Path, entry: Set, lists: str) -> Path:
    """The lists are drawn with one seed, so every method and every training seed is asked the same."""
    settings = WORKLOAD.prepare_settings(**entry.prepare, candidates=lists)
    prepare(settings, WORKLOAD, raw=entry.raw, prepared=folder, rng=machine.seed(EVALUATION_SEED), log=lambda record: None)
    return folder


def _loaded(settings: Any, prepared: Path) -> Data[Batch]:
    return WORKLOAD.load(settings, prepared, test=True)


def _say(cell: Cell) -> Any:
    def say(record: Mapping[str, Any]) -> None:
        first = next((name for name in record if name.startswith("valid_")), None)
        quality = f", {first} {record[first]:.4f}" if first else ""
        where = f"{cell.set} {cell.method} seed {cell.seed}"
        print(f"{where}: epoch {record['epoch']}, loss {record['loss']:.4f}{quality}, {record['seconds']:.0f} s", flush=True)

    return say


def _rule(prepared: Path) -> Metrics:
    """Scores 1 where the reverse triple with the same relation is observed, else 0."""
    test = _loaded(WORKLOAD.data_settings(), prepared).test
    assert test is not None
    return WORKLOAD.score((reverse_edge(batch), batch) for batch in test.draw(torch.Generator().manual_seed(EVALUATION_SEED)))


def reverse_edge(batch: Batch) -> Output:
    """The rule as a model's output: 1 where (j, k, i) is observed for the candidate (i, k, j), inverse types included."""
    head, relation, tail = batch.triples.unbind(-1)
    observed = triple_codes(*batch.graph.augmented(), batch.graph)
    return Output(torch.isin(triple_codes(tail, relation, head, batch.graph), observed).float(), "candidates")
