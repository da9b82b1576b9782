"""Where the gradient of a feature loss goes, by level and by channel of a detector's pyramid, and what the losses take per step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import _students
from benchmarks._cells import ROOT, Cell, Row, measure, row
from benchmarks._steps import Step, interleaved
from stillhouse import registry
from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.training import checkpoint, machine
from stillhouse.workloads.pictures.detect import WORKLOAD

name = "feature_gradients"
expected_seconds = 400
_PYRAMID = {"pyramid": {"width": 32, "lowest": 2, "highest": 4}, "head": {"width": 32, "layers": 1}}
_LEVELS = ("p2", "p3", "p4")
_FIT = {"learning_rate": 3e-3, "weight_decay": 1e-4, "optimizer": "adamw", "schedule": "cosine", "clip_norm": 1.0}
settings: dict[str, Any] = {
    "seeds": [0, 1, 2],
    "data": {"batch_size": 10, "evaluation_batch_size": 20},
    "teacher": {"family": "fcos", "backbone": {"width": 16, "blocks": [1, 1, 1]}, **_PYRAMID},
    "teach": _FIT | {"epochs": 10},
    "student": {"family": "retinanet", "backbone": {"width": 8, "blocks": [1, 1, 1]}, **_PYRAMID},
    "distill": _FIT | {"epochs": 4},
    "losses": {
        "squared": {"pairs": _LEVELS},
        "pearson": {"pairs": _LEVELS},
        "channel": {"pairs": _LEVELS, "temperature": 1.0},
    },
    "batches": 10,
    "strongest": 0.1,
    "maps": {"pictures": 2, "channels": 19, "sides": [16, 32, 64]},
    "costs": {
        "channel": {"loss": "channel", "settings": {}},
        "pairwise": {"loss": "pairwise", "settings": {"pool": 1}},
        "pairwise, pooled by 2": {"loss": "pairwise", "settings": {"pool": 2}},
    },
    "rounds": 5,
}


def run(data: Path | None = None) -> Iterator[Row]:
    """`share_<level>` and `strongest` are shares of the squared norm of the gradient by the student's features: of each level, and of the
    tenth of a level's channels that has the most, in the mean over levels. `kept` is what a loss keeps in memory for its gradient, in MiB.
    """
    torch.set_num_threads(1)
    pairs = [_gradients(seed) for seed in settings["seeds"]]
    for method in settings["losses"]:
        for metric in pairs[0][method]:
            yield row("scene-boxes", method, metric, [found[method][metric] for found in pairs])
    for side in settings["maps"]["sides"]:
        yield from _costs(side)


def _gradients(seed: int) -> dict[str, dict[str, float]]:
    """Loss -> metrics, of the student that was trained alone for a short while."""
    teach = {"model": settings["teacher"], "data": settings["data"], "fit": settings["teach"]}
    entry = _students.Set("scene-boxes", ROOT / "data" / "raw" / "scene-boxes.json", {}, teach)
    whole = {"method": "uniform", "budget": {"unit": "macs", "share": 1.0}, "weights": "scratch", "model": settings["student"]}
    cell = _students.cell(entry, "student", seed, {"search": whole, "distill": {"start": "fresh", "fit": settings["distill"]}})
    measure([cell], lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry)})
    student, teacher = (checkpoint.read_model(WORKLOAD, path) for path in (cell.folder / "student", _students.home(cell) / "teacher"))
    batches = list(islice(_batches(cell, seed), settings["batches"]))
    return {loss: _shares(loss, block, student, teacher, batches) for loss, block in settings["losses"].items()}


def _batches(cell: Cell, seed: int) -> Iterator[Any]:
    data = WORKLOAD.load(WORKLOAD.data_settings(**settings["data"]), _students.home(cell) / "prepared")
    return iter(data.train.draw(machine.seed(seed)))


def _shares(loss: str, block: Mapping[str, Any], student: nn.Module, teacher: nn.Module, batches: list[Any]) -> dict[str, float]:
    part = registry.loss(loss)
    energy = dict.fromkeys(_LEVELS, torch.zeros(()))
    for batch in batches:
        with torch.no_grad():
            theirs = WORKLOAD.apply(teacher, batch)
        ours = WORKLOAD.apply(student, batch)
        term = part.make(part.settings(**block), ours, theirs)
        slopes = torch.autograd.grad(term(ours, theirs), [ours.features[level].value for level in _LEVELS])
        energy = {level: energy[level] + slope.square().sum((0, 2, 3)) for level, slope in zip(_LEVELS, slopes, strict=True)}
    total = float(sum(found.sum() for found in energy.values()))
    shares = {f"share_{level}": float(found.sum()) / total for level, found in energy.items()}
    return shares | {"strongest": sum(map(_strongest, energy.values())) / len(energy)}


def _strongest(energy: Tensor) -> float:
    """The share of the channels (channels,) that have the most."""
    most = max(1, round(settings["strongest"] * len(energy)))
    return float(energy.topk(most).values.sum() / energy.sum())


def _costs(side: int) -> Iterator[Row]:
    maps, rng = settings["maps"], torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(maps["pictures"], maps["channels"], side, side, generator=rng) for _ in range(2))
    student.requires_grad_()
    terms = {method: _term(block, student, teacher) for method, block in settings["costs"].items()}
    seconds = interleaved({method: _step(term, student, teacher) for method, term in terms.items()}, settings["rounds"], student.device)
    title = f"{maps['pictures']} maps of {maps['channels']} x {side} x {side}"
    for method, term in terms.items():
        yield row(title, method, "milliseconds", [1000 * median(seconds[method])])
        yield row(title, method, "kept", [_kept(term, student, teacher)])


def _term(block: Mapping[str, Any], student: Tensor, teacher: Tensor) -> nn.Module:
    part = registry.loss(block["loss"])
    return part.make(part.settings(**{"pairs": ["map"], **block["settings"]}), _output(student), _output(teacher))


def _step(term: nn.Module, student: Tensor, teacher: Tensor) -> Step:
    def step() -> None:
        torch.autograd.grad(term(_output(student), _output(teacher)), student)

    return step


def _kept(term: nn.Module, student: Tensor, teacher: Tensor) -> float:
    """MiB of the tensors that the gradient waits for, beside the maps themselves; each memory counts once."""
    found: dict[int, int] = {}

    def seen(value: Tensor) -> Tensor:
        found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(seen, lambda value: value):
        term(_output(student), _output(teacher))
    for value in (student, teacher):
        found.pop(value.untyped_storage().data_ptr(), None)
    return sum(found.values()) / 2**20


def _output(value: Tensor) -> Output:
    return Output(value.new_zeros(()), "values", {"map": Feature(value, IMAGE)})
