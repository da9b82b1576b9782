"""What processes save that share the candidates of a search: one after the other, and two at once.

The stage `search` of a small project, with the toy workload of the tests and the method `random`, in turns; both must find the same bytes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import yaml

from benchmarks import stage_cost
from stillhouse.record.process import AFRESH

name = "search_workers"
expected_seconds = 180
settings = {"rounds": 3, "draws": 8, "epochs": 2000}

WAYS = {"one process": 1, "two processes": 2}


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """Seconds of the stage in each way, and the median of the second's ratio to the first in the same round."""
    os.environ[AFRESH] = "1"  # what is known is made again
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "project"
        stage_cost.set_up(place)
        rounds = [{way: _stage(place, workers) for way, workers in WAYS.items()} for _ in range(settings["rounds"])]
    for turn in rounds:
        if len({found for _, found in turn.values()}) > 1:
            raise RuntimeError("two processes found something else than one")
    return [row for way in WAYS for row in _rows(way, [{each: seconds for each, (seconds, _) in turn.items()} for turn in rounds])]


def _stage(place: Path, workers: int) -> tuple[float, bytes]:
    """The seconds that a search takes, and the weights that it finds."""
    params = yaml.safe_load((place / "params.yaml").read_text())
    fit = {"epochs": settings["epochs"], "learning_rate": 0.02}
    method = {"method": "random", "settings": {"draws": settings["draws"], "fit": fit}, "workers": workers}
    params["students"]["half"]["search"] = {"budget": {"unit": "macs", "share": 0.5}, **method}
    (place / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    seconds, _ = stage_cost.measured(["-m", "stillhouse.stages", "search", "half"], place)
    return seconds, (place / "data/half/found/model.safetensors").read_bytes()


def _rows(way: str, rounds: list[dict[str, float]]) -> list[dict[str, Any]]:
    first = next(iter(WAYS))
    times, ratios = [turn[way] for turn in rounds], [turn[way] / turn[first] for turn in rounds]
    row = {"set": f"a search of {settings['draws']} draws", "method": way, "seeds": len(times)}
    beside = {"metric": f"times {first} (median)", "mean": median(ratios), "sd": stdev(ratios)}
    return [row | {"metric": "seconds", "mean": mean(times), "sd": stdev(times)}, *([row | beside] if way != first else [])]
