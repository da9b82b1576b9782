"""Random students of pictures, trained alike: do ZiCo's and GradSign's scores rank them, and is the searched shape among the best?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import kendalltau, spearmanr

from benchmarks import _students, pictures
from benchmarks._cells import Cell, Row, measure, row
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches import gradsign, zico
from stillhouse.searches._candidate import candidate, magnitudes
from stillhouse.searches._draw import draw
from stillhouse.searches._rounding import Rounding, most_important
from stillhouse.space.blueprint import Architecture
from stillhouse.space.extraction import extract
from stillhouse.training import checkpoint
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.sample import Batch

name = "picture_ranks"
expected_seconds = 900
needs_data = True
settings: dict[str, Any] = {
    "set": "cifar10-jpeg",
    "seed": 42,
    "share": 0.25,
    "draws": 16,
    "band": 0.05,
    "batches": {"zico": 2, "gradsign": 16},
    "searched": ["dms@0.25", "uniform@0.25"],
    "teach": pictures.settings["teach"],
    "draw": pictures.settings["draw"],
}


class _DrawSettings(Settings):
    index: int


class _ShapeSettings(Settings):
    kept: dict[str, tuple[int, ...]]


def run(data: Path) -> list[Row]:
    """`accuracy` of all draws and of what searches found, all cut from the teacher and distilled alike; rank correlations."""
    (entry,) = (group for group in pictures.sets(data) if group.name == settings["set"])
    draws = [_cell(entry, f"draw{index}", {"index": index}) for index in range(int(settings["draws"]))]
    rows = measure(draws, lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry, method=_DRAWN)})
    shapes = [_cell(entry, f"{method}, shape alone", {"kept": _kept(entry, method)}) for method in settings["searched"]]
    rows += measure(shapes, lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry, method=_GIVEN)})
    found = {row["method"]: row["mean"] for row in rows if row["metric"] == "accuracy"}
    drawn = [found[cell.method] for cell in draws]
    return [
        row(entry.name, "random draws", "accuracy", drawn),
        *(row(entry.name, cell.method, "accuracy", [found[cell.method]]) for cell in shapes),
        *_correlations(entry.name, drawn, [_scores(cell) for cell in draws]),
    ]


def _cell(entry: _students.Set, method: str, chosen: _students.Block) -> Cell:
    distill = pictures.settings["students"][f"uniform@{settings['share']:g}"]["distill"]
    search = {"method": "picture_ranks", "settings": chosen, "budget": {"unit": "macs", "share": settings["share"]}}
    return _students.cell(entry, method, settings["seed"], {"search": search, "distill": distill})


def _kept(entry: _students.Set, method: str) -> dict[str, tuple[int, ...]]:
    """What a search of the pictures benchmark found, which runs if it has not yet."""
    cell = _students.cell(entry, method, settings["seed"], pictures.settings["students"][method])
    measure([cell], lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry)})
    return checkpoint.read_record(cell.folder / "found")["architecture"]


def _scores(cell: Cell) -> dict[str, float]:
    found = read_json(cell.folder / "times.json")["search"]
    return {score: found[f"found_{score}"] for score in ("zico", "gradsign", "weights")}


def _correlations(group: str, quality: list[float], scores: list[dict[str, float]]) -> Iterator[Row]:
    """None where all are equal, which have no ranks."""
    for score in scores[0]:
        values = [found[score] for found in scores]
        if len(set(values)) == 1 or len(set(quality)) == 1:
            continue
        yield row(group, score, "kendall", [float(kendalltau(values, quality).statistic)])
        yield row(group, score, "spearman", [float(spearmanr(values, quality).statistic)])


def _draw(problem: Problem[Any], chosen: _DrawSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One architecture of the number's own, with both scores and its number of weights beside its metrics."""
    supernet, own = problem.supernet(), torch.Generator().manual_seed(chosen.index)
    architecture = draw(Rounding(problem.groups, problem.cost, problem.budget), settings["band"], magnitudes(supernet, problem.groups), own)
    batch = next(iter(problem.data.train.draw(own)))
    scores = {
        "zico": zico.score(problem, problem.static(architecture), _first(problem, own, settings["batches"]["zico"])),
        "gradsign": gradsign.score(problem, problem.static(architecture), _single(batch)[: settings["batches"]["gradsign"]]),
        "weights": float(sum(weight.numel() for weight in problem.static(architecture).parameters() if weight.dim() > 1)),
    }
    trial = candidate(problem, architecture, extract(supernet, architecture), own)
    yield replace(trial, metrics=trial.metrics | scores)


def _first(problem: Problem[Any], rng: torch.Generator, count: int) -> list[Batch]:
    return [batch for batch, _ in zip(problem.data.train.draw(rng), range(count), strict=False)]


def _single(batch: Batch) -> list[Batch]:
    """One picture per batch."""
    pairs = zip(batch.image.split(1), batch.label.split(1), strict=True)
    return [Batch(image, label, batch.unit) for image, label in pairs]


def _shape(problem: Problem[Any], chosen: _ShapeSettings, rng: torch.Generator) -> Iterator[Trial]:
    """The given blocks and counts, cut from the teacher as it was before any search; the highest norms stay, as in the draws."""
    supernet = problem.supernet()
    scores = magnitudes(supernet, problem.groups)
    depth = {group.name for group in problem.groups if group.kind == "depth"}
    kept = {name: own if name in depth else most_important(scores[name], len(own)) for name, own in chosen.kept.items()}
    architecture = Architecture(kept)
    yield candidate(problem, architecture, extract(supernet, architecture), rng)


_DRAWN, _GIVEN = Search(_DrawSettings, _draw), Search(_ShapeSettings, _shape)
