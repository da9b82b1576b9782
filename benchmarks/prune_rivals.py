"""Small Hugging Face networks pruned by ourselves and by Torch-Pruning: one teacher, budget and number of epochs for all."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from scipy.stats import t as student_t
from torch import nn

import stillhouse
from benchmarks import _torch_pruning
from benchmarks._cells import Cell, Row, measure, row
from benchmarks._rival_networks import Subject, subject
from benchmarks._torch_pruning import macs
from stillhouse import registry
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json, replace
from stillhouse.training.fit import FitSettings
from stillhouse.training.score import score
from stillhouse.training.teaching import TeachingSettings, WeightedLoss, train

name = "prune_rivals"
expected_seconds = 4000
needs_data = True
settings: dict[str, Any] = {
    "networks": "ResNet, fashion-mnist|BERT, trec|ResNet, cifar10-jpeg|ViT, fashion-mnist",
    "seeds": 5,
    "choice_seeds": [97, 98, 99],
    "rates": [2e-3, 5e-3],
    "structure_rates": [5e-3],
    "counts": {"train": 1600, "valid": 1000},
    "batch_size": 64,
    "teacher_epochs": 20,
    "teacher_rate": 3e-3,
    "search_epochs": 4,
    "student_epochs": 6,
    "structure_learning_rate": 2e-2,
    "batches": 16,
    "steps": 4,
    "draws": 2,
    "temperature": 2.0,
}
SHARES = (0.5, 0.25)
OURS, CHOOSING = "dms", ("uniform", "Torch-Pruning, one shot")
"""The method that is compared with each of the others, and those whose validation chooses the rate of all others."""
TRAINED = {"dms", "random", "Torch-Pruning, iterative"}
"""Methods that spend the epochs of a search; the students of all others are trained for as many more."""
METHODS = ("taylor", "Torch-Pruning, one shot", "Torch-Pruning, iterative", "magnitude", "uniform", "random")


def run(data: Path) -> list[Row]:
    """`data` holds fashion-mnist, cifar10-jpeg and text-classes, a folder each. Without Torch-Pruning its methods are left out.

    `dms_ahead` is the paired difference of accuracy to that method over the seeds, and its `sd` half the 95 % interval.
    """
    torch.set_num_threads(1)
    found: list[Cell] = []

    def cells() -> Iterator[Cell]:
        for network in settings["networks"].split("|"):
            for cell in _cells(network):
                found.append(cell)
                yield cell

    rows = measure(cells(), lambda cell: _measured(data, cell))
    rows += _ahead([cell for cell in found if cell.done and cell.seed not in settings["choice_seeds"]])
    order = list(dict.fromkeys(row["set"] for row in rows))
    return sorted(rows, key=lambda row: order.index(row["set"]))


def _cells(network: str) -> Iterator[Cell]:
    """First those that choose the rates, at a quarter; then, if these are done, all of them, each with both trainings of a student.

    Our search has one choice more: other rates of its structure, at the highest of the rates.
    """
    ours = [(rate, settings["structure_learning_rate"]) for rate in settings["rates"]]
    ours += [(max(settings["rates"]), structure) for structure in settings["structure_rates"]]
    own = {rates: [_choice(network, OURS, *rates, seed) for seed in settings["choice_seeds"]] for rates in ours}
    deputies = [method for method in CHOOSING if _there(method)]
    other = {
        rate: [
            _choice(network, method, rate, settings["structure_learning_rate"], seed)
            for method in deputies
            for seed in settings["choice_seeds"]
        ]
        for rate in settings["rates"]
    }
    choosing = [cell for cells in (*own.values(), *other.values()) for cell in cells]
    yield from choosing
    if not all(cell.done for cell in choosing):
        return
    best = max(own, key=lambda rates: _valid(own[rates]))
    theirs = max(other, key=lambda rate: _valid(other[rate]))
    for seed in range(int(settings["seeds"])):
        yield _cell(network, 1, "teacher", settings["teacher_rate"], seed)
        for share in SHARES:
            yield _cell(network, share, OURS, best[0], seed, best[1])
            yield from (_cell(network, share, method, theirs, seed) for method in METHODS if _there(method))


def _there(method: str) -> bool:
    return _torch_pruning.AVAILABLE or not method.startswith("Torch-Pruning")


def _choice(network: str, method: str, rate: float, structure: float, seed: int) -> Cell:
    usual = structure == settings["structure_learning_rate"]
    named = f"{method} ({rate:g})" if usual else f"{method} ({rate:g}, structure {structure:g})"
    return _cell(network, 0.25, method, rate, seed, structure, named)


def _cell(network: str, share: float, method: str, rate: float, seed: int, structure: float | None = None, named: str = "") -> Cell:
    choices = ("networks", "seeds", "choice_seeds", "rates", "structure_rates")
    kept = {key: value for key, value in settings.items() if key not in choices}
    kept |= {"network": network, "share": share, "method": method, "rate": rate}
    kept |= {"structure_learning_rate": structure or settings["structure_learning_rate"]}
    return Cell(f"{network} at {share:g}", named or method, seed, kept)


def _valid(cells: list[Cell]) -> float:
    """The mean on the validation split, over cells and both trainings."""
    return fmean(metrics["valid"] for cell in cells for metrics in read_json(cell.folder / "metrics.json").values())


def _measured(data: Path, cell: Cell) -> dict[str, Metrics]:
    """The student that a method found, trained twice: beside the task on the teacher's logits, and on the task alone.

    Of the choosing cells no test split is looked at.
    """
    chosen = cell.settings
    task = _subject(chosen["network"], data)
    teacher = _teacher(chosen["network"], data, cell.seed)
    if chosen["method"] == "teacher":
        return {chosen["network"]: score(task, teacher, task.test.batches()) | {"macs_share": 1.0}}
    found = _found(task, teacher, chosen, cell.seed)
    epochs = chosen["student_epochs"] + (0 if chosen["method"] in TRAINED else chosen["search_epochs"])
    measured = {}
    for title, losses in (("distilled", _losses()), ("task alone", ())):
        student = copy.deepcopy(found)
        best = _train(task, student, teacher if losses else None, _fit(epochs, chosen["rate"]), losses, cell.seed)
        metrics = {"valid": best["valid_accuracy"], "macs_share": macs(student, task) / macs(teacher, task)}
        if cell.seed not in settings["choice_seeds"]:
            metrics["accuracy"] = score(task, student, task.test.batches())["accuracy"]
        measured[f"{cell.set}, {title}"] = metrics
    return measured


@lru_cache(maxsize=1)
def _subject(network: str, data: Path) -> Subject:
    return subject(network, data, settings["counts"], settings["batch_size"])


@lru_cache(maxsize=1)
def _teacher(network: str, data: Path, seed: int) -> nn.Module:
    """The network trained from scratch by a seed, once for all methods."""
    task = _subject(network, data)
    torch.manual_seed(seed)
    model = task.factory()
    fit = _fit(settings["teacher_epochs"], settings["teacher_rate"])
    path = Cell(network, "teacher", seed, {"fit": fit.model_dump(), "counts": settings["counts"]}).folder / "model.safetensors"
    if not path.exists():
        _train(task, model, None, fit, (), seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, lambda fresh: save_model(model, str(fresh)))
    load_model(model, path)
    return model.eval().requires_grad_(False)


def _found(task: Subject, teacher: nn.Module, chosen: dict[str, Any], seed: int) -> nn.Module:
    """The network that a method cuts out of the teacher, with its weights."""
    if chosen["method"].startswith("Torch-Pruning"):
        return _by_torch_pruning(task, teacher, chosen, seed)
    searches = {
        "dms": {
            "fit": _fit(chosen["search_epochs"], chosen["rate"], "constant"),
            "structure_learning_rate": chosen["structure_learning_rate"],
        },
        "random": {"draws": chosen["draws"], "band": 0.05, "fit": _fit(chosen["search_epochs"], chosen["rate"], "constant")},
    }
    build = stillhouse.builder(task.factory, task.example)
    owner = stillhouse.Teacher(teacher, build, task.train, task.valid, task.loss, task.score, apply=task.apply)
    own = searches.get(chosen["method"], {})
    return stillhouse.search(owner, share=chosen["share"], method=chosen["method"], settings=own, seed=seed).model


def _by_torch_pruning(task: Subject, teacher: nn.Module, chosen: dict[str, Any], seed: int) -> nn.Module:
    """One shot; or in steps that share the epochs of a search."""
    steps = chosen["steps"] if chosen["method"] in TRAINED else 1
    fit = _fit(chosen["search_epochs"] // steps, chosen["rate"], "constant")
    rng = torch.Generator().manual_seed(seed)

    def after(model: nn.Module) -> None:
        if steps > 1:
            _train(task, model, None, fit, (), seed)

    given = {"steps": steps, "batches": chosen["batches"], "after": after, "rng": rng}
    return _torch_pruning.pruned(teacher, task, chosen["share"], **given)


def _train(
    task: Subject, model: nn.Module, teacher: nn.Module | None, fit: FitSettings, losses: tuple[WeightedLoss, ...], seed: int
) -> Metrics:
    """Leaves the epoch in the model that is best in validation."""
    torch.manual_seed(seed)
    parts = [registry.loss(item.loss) for item in losses]
    teaching = TeachingSettings(losses=losses, fit=fit)
    rng = torch.Generator().manual_seed(seed)
    return train(task, task.data, model.requires_grad_(), teacher, teaching, parts, rng=rng, log=lambda record: None)


def _losses() -> tuple[WeightedLoss, ...]:
    own = registry.loss("logits").settings(temperature=settings["temperature"])
    return (WeightedLoss(loss="logits", weight=1.0, settings=own),)


def _fit(epochs: int, rate: float, schedule: str = "cosine") -> FitSettings:
    return FitSettings.model_validate(
        {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": schedule}
    )


def _ahead(cells: list[Cell]) -> Iterator[Row]:
    """Of each set and method but ours: how far ours is ahead of it, over the seeds that both have."""
    found = {
        (group, cell.method, cell.seed): metrics["accuracy"]
        for cell in cells
        for group, metrics in read_json(cell.folder / "metrics.json").items()
    }
    differences: dict[tuple[str, str], list[float]] = {}
    for (group, method, seed), accuracy in found.items():
        if method != OURS and (group, OURS, seed) in found:
            differences.setdefault((group, method), []).append(found[group, OURS, seed] - accuracy)
    for (group, method), values in differences.items():
        yield row(group, method, "dms_ahead", values) | {"sd": half_width(values)}


def half_width(values: list[float]) -> float:
    """Half the 95 % interval of a mean (Student's t); 0 of a single value."""
    return float(student_t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
