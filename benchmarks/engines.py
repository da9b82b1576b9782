"""Which engine brings stages to nodes: Prefect's process workers against Ray through prefect-ray, on two nodes simulated on one machine.

Both run the same idle stage. Each node has a folder, a home and processes of its own, which are killed together, as if the machine were
gone. Ray and prefect-ray lie in an environment that is made for the benchmark; STILLHOUSE_BENCHMARK_ENGINES names the Python of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

name = "engines"
expected_seconds = 1200
settings = {"rounds": 3}

ROOT = Path(__file__).parents[1]
NEEDED = ("ray==2.60.0", "prefect-ray==0.6.0")
SAME = ("prefect", "fastapi", "psutil")
"""What the environment has in the same version as this one."""
METHODS = {
    "process workers": ("_engines_prefect", ["10", "30"]),
    "process workers, work asked for each second, a sign of life each 5 s": ("_engines_prefect", ["1", "5"]),
    "Ray": ("_engines_ray", []),
}
"""For Prefect the seconds between two questions for work and between two signs of life; first those that it has by itself."""


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """What `facts` found, one row for each metric of each method."""
    rows = []
    with environment() as python:
        for method, (module, words) in METHODS.items():
            found: dict[str, list[float]] = {}
            for fact in facts(python, module, words):
                found.setdefault(fact["metric"], []).append(float(fact["value"]))
            row = {"set": "two nodes", "method": method}
            rows += [
                row | {"metric": metric, "mean": mean(values), "sd": stdev(values) if len(values) > 1 else 0.0, "seeds": len(values)}
                for metric, values in found.items()
            ]
    return rows


def facts(python: str, module: str, words: list[str]) -> list[dict[str, Any]]:
    """What one engine's program prints. Raises RuntimeError if it fails."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [python, "-m", f"benchmarks.{module}", folder, str(settings["rounds"]), *words]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stdout}{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"metric"')]


@contextmanager
def environment() -> Iterator[str]:
    """The Python of an environment with Ray."""
    if known := os.environ.get("STILLHOUSE_BENCHMARK_ENGINES"):
        yield known
        return
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder) / "bin/python")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        same = [f"{package}=={version(package)}" for package in SAME]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDED, *same], check=True)
        yield python
