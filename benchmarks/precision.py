"""Seconds of an epoch of one teacher of pictures in each precision, and compiled."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmarks._cells import ROOT, Row, row
from stillhouse import registry
from stillhouse.contracts.data import Data
from stillhouse.runner.entries import Entries
from stillhouse.stages.prepare import prepare
from stillhouse.training import machine
from stillhouse.training.fit import Epoch, FitSettings, fit
from stillhouse.training.score import score
from stillhouse.training.teaching import untaught

name = "precision"
expected_seconds = 120
settings: dict[str, Any] = {"teacher": "digits", "epochs": 5, "seeds": 2, "threads": 1}
WAYS: dict[str, dict[str, Any]] = {
    "32-true": {},
    "tf32": {"precision": "tf32"},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "32-true, compiled": {"compile": True},
}


def run(data: Path | None = None) -> Iterator[Row]:
    """`first` is the first epoch, in which a program is compiled, `epoch` the median of the others, in seconds; with the last accuracy."""
    machine.use_threads(int(settings["threads"]))
    entry = Entries.read(ROOT / "params.yaml").values["teachers"][settings["teacher"]]
    ways = {way: more for way, more in WAYS.items() if way != "tf32" or machine.device().type == "cuda"}
    with tempfile.TemporaryDirectory() as folder:
        prepared, workload = Path(folder) / "prepared", registry.workload(entry["workload"])
        how: dict[str, Any] = {"raw": ROOT / entry["raw"], "prepared": prepared, "rng": machine.seed(0)}
        prepare(workload.prepare_settings(**entry["prepare"]), workload, **how, log=lambda record: None)
        loaded = workload.load(workload.data_settings(**entry["teach"]["data"]), prepared)
        rounds = [{way: _trained(entry, loaded, more, seed) for way, more in ways.items()} for seed in range(int(settings["seeds"]))]
    for way in ways:
        for metric in rounds[0][way]:
            yield row(f"{settings['teacher']}, teacher", way, metric, [found[way][metric] for found in rounds])


def _seconds(epochs: Iterator[Epoch]) -> Iterator[float]:
    """Of each epoch: of the processor on a CPU, whose neighbours disturb it less than the clock."""
    clock = time.process_time if machine.device().type == "cpu" else time.perf_counter
    started = clock()
    for _ in epochs:
        yield clock() - started
        started = clock()


def _trained(entry: dict[str, Any], data: Data[Any], more: dict[str, Any], seed: int) -> dict[str, float]:
    torch.compiler.reset()
    rng, workload = machine.seed(seed), registry.workload(entry["workload"])
    chosen = TypeAdapter(workload.model_settings).validate_python(entry["teach"]["model"])
    model = workload.model(chosen, data.sizes, None).to(machine.device())
    how = FitSettings(**entry["teach"]["fit"] | {"epochs": int(settings["epochs"])} | more)
    seconds = list(_seconds(fit(model, untaught(workload, model), data.train, how, rng)))
    name, quality = next(iter(score(workload, model, data.valid).items()))
    return {"first": seconds[0], "epoch": median(seconds[1:]), f"valid_{name}": quality}
