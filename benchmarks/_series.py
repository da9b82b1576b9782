"""Generated series on graphs, on which no choice was made or some: epidemics, steps of the level, growth, edges that are half wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Edges = list[tuple[int, int]]
Series = tuple[Array, Edges]


def epidemic(seed: int, regions: int = 47, weeks: int = 348) -> Series:
    """Weekly counts of an infection with seasons, which spreads between regions by size over squared distance (SIRS, daily steps)."""
    rng = np.random.default_rng(seed)
    distance, edges = _nearest(rng, regions, 4)
    people = np.exp(rng.normal(14, 1, regions))
    pull = np.where(np.eye(regions), 0, people[None] / (distance + 0.05) ** 2)
    contact = 0.9 * np.eye(regions) + 0.1 * pull / pull.sum(1, keepdims=True)
    open_to, ill, new = people * 0.6, people * 1e-4, []
    for day in range(364 + 7 * weeks):
        season = 1 + 0.28 * np.cos(2 * np.pi * (day % 365) / 365 + rng.normal(0, 0.02))
        rate = 0.42 * season * np.exp(0.15 * np.sin(day / 900 + seed))
        force = rate * (contact @ (ill / people)) * np.exp(rng.normal(0, 0.1, regions))
        fresh = np.minimum(open_to, open_to * force + 1e-6 * people)
        open_to = open_to - fresh + (people - open_to - ill) / 300
        ill = ill + fresh - ill / 3.5
        new.append(fresh)
    weekly = np.array(new[364:]).reshape(weeks, 7, regions).sum(1)
    return rng.poisson(weekly * 0.02 * np.exp(rng.normal(0, 0.15, weekly.shape))).astype(float), edges


def level(seed: int, nodes: int = 30, steps: int = 400) -> Series:
    """Values that follow their neighbours around a level, which trebles in the last fifth."""
    rng = np.random.default_rng(seed)
    _, edges = _nearest(rng, nodes, 3)
    base = 10 + 2 * rng.random(nodes)
    later = (np.arange(steps) > 0.8 * steps)[:, None]
    return np.where(later, 3 * base, base) + _followed(rng, edges, nodes, steps, own=0.5, neighbours=0.4), edges


def growth(seed: int, nodes: int = 40, steps: int = 300) -> Series:
    """Counts that grow and drift, with a period of seven steps."""
    rng = np.random.default_rng(seed)
    _, edges = _nearest(rng, nodes, 3)
    size = np.exp(rng.normal(3, 1, nodes))
    path = np.cumsum(rng.normal(0.006, 0.04, (steps, 1)) + rng.normal(0, 0.03, (steps, nodes)), 0)
    period = 1 + 0.3 * np.sin(2 * np.pi * np.arange(steps) / 7)
    return rng.poisson(size * np.exp(path) * period[:, None]).astype(float), edges


def half_wrong(seed: int, nodes: int = 50, steps: int = 400) -> Series:
    """Values that follow their neighbours; half of the edges are not given, and as many are given that are none."""
    rng = np.random.default_rng(seed)
    _, edges = _nearest(rng, nodes, 3)
    values = 20 + _followed(rng, edges, nodes, steps, own=0.2, neighbours=0.75)
    given = {edge for edge in edges if rng.random() < 0.5}
    others = [(i, j) for i in range(nodes) for j in range(nodes) if i != j and (i, j) not in edges]
    return values, sorted(given | {others[place] for place in rng.choice(len(others), len(given), replace=False)})


SERIES: dict[str, Callable[[int], Series]] = {"epidemic": epidemic, "level": level, "growth": growth, "half-wrong": half_wrong}


def write(series: Series, folder: Path) -> Path:
    """As a folder with `series.csv` and `edges.csv`."""
    values, edges = series
    folder.mkdir(parents=True, exist_ok=True)
    _table(folder / "series.csv", [f"n{node}" for node in range(values.shape[1])], values.tolist())
    _table(folder / "edges.csv", ["source", "target"], [list(edge) for edge in edges])
    return folder


def _nearest(rng: np.random.Generator, nodes: int, number: int) -> tuple[Array, Edges]:
    """(nodes, nodes) distances in the unit square, and edges both ways between each node and its nearest."""
    place = rng.random((nodes, 2))
    distance = np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))
    near = np.argsort(distance + 9 * np.eye(nodes), 1)[:, :number]
    pairs = [(node, int(other)) for node in range(nodes) for other in near[node]]
    return distance, sorted({*pairs, *((other, node) for node, other in pairs)})


def _followed(rng: np.random.Generator, edges: Edges, nodes: int, steps: int, *, own: float, neighbours: float) -> Array:
    """(steps, nodes): each value is a share of its last one and of its neighbours' mean, and noise; the beginning is left out."""
    matrix = np.zeros((nodes, nodes))
    matrix[[target for _, target in edges], [source for source, _ in edges]] = 1
    matrix /= matrix.sum(1, keepdims=True)
    values = np.zeros((steps + 100, nodes))
    for step in range(1, len(values)):
        values[step] = own * values[step - 1] + neighbours * matrix @ values[step - 1] + rng.normal(0, 1, nodes)
    return values[100:]


def _table(path: Path, head: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
