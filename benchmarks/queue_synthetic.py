"""Queues from a few states under light load: infinity-SGD beside its rivals on the published synthetic chains, 20 seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._cells import Row
from benchmarks._queue import GRADIENTS, Set, quality

name = "queue_synthetic"
expected_seconds = 800
FIT = {"epochs": 40, "learning_rate": 0.02}
RECIPES: dict[str, dict[str, Any]] = {
    "mm1k": {},
    "mmmmr": {"servers": 5, "rates": [5.0]},
    "mmul": {"rates": [16.0, 8.0, 4.0]},
    "mm1k-slow": {"light": [float(load) for load in range(21, 31)], "light_samples": 5},
}
WATCHED = {"mmul": [0, 1, 2, 3]}
settings = {"seeds": 20, "fit": FIT, "recipes": RECIPES, "batch_size": 10}
NETWORKS: dict[str, dict[str, Any]] = {"neural": {"family": "neural"}, "black_box": {"family": "black_box"}}
"""They have more freedom than the data can pin, and learn at a lower rate."""


def run(data: Path | None) -> list[Row]:
    """Error of the full queue's share of time at loads of 31 to 60; validation is on the training samples, as published."""
    sets = [Set(title, recipe, {"watched": WATCHED.get(title, [0, 1]), "valid_share": 0.0}) for title, recipe in RECIPES.items()]
    return quality(sets, _methods, int(settings["seeds"]))


def _methods(entry: Set) -> Mapping[str, Mapping[str, Any]]:
    """Every gradient has the same prior, start, link, learning rate and epochs."""
    recipe = RECIPES[entry.name]
    prior = {"family": "structured", "servers": recipe.get("servers", 1), "jobs": len(recipe.get("rates", [0]))}
    found: dict[str, Mapping[str, Any]] = {
        method: {"model": prior | {"gradient": gradient}, "fit": FIT} for method, gradient in GRADIENTS.items()
    }
    found["maximum_likelihood"] = {"model": prior | {"gradient": GRADIENTS["exact"]}}
    found |= {method: {"model": model, "fit": FIT | {"learning_rate": 0.01, "clip_norm": 1.0}} for method, model in NETWORKS.items()}
    return found | {"floor_zero": {}}
