"""Queues on the call server's testbed, the authors' split: each prior, the neural chain and its student, and the floors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._cells import Row
from benchmarks._queue import GRADIENTS, Set, quality

name = "queue_testbed"
expected_seconds = 500
needs_data = True
FIT = {"epochs": 40, "learning_rate": 0.02, "clip_norm": 5.0}
TRAINING_SHARE = 0.018
"""The mean share of dropped calls in the training seconds: no model is told it."""
settings = {"seeds": 3, "fit": FIT, "states": 22, "watched": [1, 2], "light": 1000}
PRIORS: dict[str, dict[str, Any]] = {
    "mm1k": {"family": "structured"},
    "mm1k_penalised": {"family": "structured", "penalty": 10.0},
    "mmul3": {"family": "structured", "jobs": 3},
    "triangular": {"family": "triangular", "penalty": 10.0},
    "triangular_start_0.1": {"family": "triangular", "penalty": 10.0, "start": 0.1},
    "neural": {"family": "neural"},
    "neural_loose": {"family": "neural", "stiffness": 0.1},
}
STUDENT = {
    "share": 0.25,
    "fit": {"epochs": 20, "learning_rate": 0.005, "clip_norm": 5.0},
    "data": {"unlabelled": 10, "unlabelled_loads": [200.0, 1600.0]},
}
"""The loads that its teacher is asked about reach as far as those of the test, whose counts nobody sees."""


def run(data: Path) -> list[Row]:
    """Error of the share of dropped calls in the seconds with more than 1000 calls."""
    raw = data / "queue_testbed" / "rtt_queue_length_test_110.csv"
    block = {key: settings[key] for key in ("states", "watched", "light")}
    return quality([Set("testbed", raw, block | {"valid_share": 0.0})], lambda entry: _methods(), int(settings["seeds"]))


def _methods() -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for title, prior in PRIORS.items():
        for method in ("infinity", "exact"):
            found[f"{method} {title}"] = {"model": prior | {"gradient": GRADIENTS[method]}, "fit": FIT}
    for method in ("dc_bptt_16", "dc_bptt_128"):
        found[f"{method} mm1k"] = {"model": PRIORS["mm1k"] | {"gradient": GRADIENTS[method]}, "fit": FIT}
    found["maximum_likelihood"] = {"model": PRIORS["mm1k"] | {"gradient": GRADIENTS["exact"]}}
    found["black_box"] = {"model": {"family": "black_box"}, "fit": FIT}
    for title in ("neural", "neural_loose"):
        found[f"student of {title}"] = {**found[f"infinity {title}"], "student": STUDENT}
    return found | {"floor_zero": {}, "floor_training_mean": {"share": TRAINING_SHARE}}
