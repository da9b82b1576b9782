"""What it costs to ask which models were made of a raw file, with 1,000 runs of stages on record that all lead back to it.

The database is MLflow's own, and every run in it carries what a real one does. The answer is timed in three ways: as the command's own
question inside a running process, as the whole command, and, as the price of the obvious way, by MLflow's client.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from stillhouse import lineage
from stillhouse.record.run_record import Execution, Item, RunRecord
from stillhouse.tracking import entities, queries
from stillhouse.tracking.store import Store, opened

name = "lineage"
expected_seconds = 120
settings = {"prepared": 10, "teachers of each": 9, "students of each": 5, "rounds": 7}

ROOT = Path(__file__).parents[1]
RAW = "data/raw/rows.json"


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """Seconds of each way."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / ".dvc").mkdir()
        (place / RAW).parent.mkdir(parents=True)
        (place / RAW).write_text("{}")
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlflow.db'}"
        with opened(place) as store:
            count = fill(store)
            ways: dict[str, Callable[[], int]] = {
                "the question alone": lambda: len(lineage.forward(place, str(place / RAW))["models"]),
                "the whole command": lambda: len(_command(place)),
                "reading all runs by MLflow's client": lambda: _models(queries.runs(store.client, store.experiment)),
                "importing MLflow": _import,
            }
            return [_row(method, way, count) for method, way in ways.items()]


def _row(method: str, way: Callable[[], int], count: int) -> dict[str, Any]:
    times = []
    for _ in range(settings["rounds"] + 1):
        began = time.perf_counter()
        found = way()
        times.append(time.perf_counter() - began)
        if found not in (-1, expected()):
            raise RuntimeError(f"{method}: {expected()} models were made of the raw file, and {found} were found")
    times = times[1:]
    facts = {"set": f"{count:,} runs, {expected()} models", "method": method, "metric": "seconds"}
    return facts | {"mean": mean(times), "sd": stdev(times), "seeds": len(times)}


def expected() -> int:
    """The models that there are."""
    teachers = settings["prepared"] * settings["teachers of each"]
    return teachers * (1 + settings["students of each"])


def fill(store: Store) -> int:
    """Writes the runs, as many as 1,000, and returns their number."""
    count = 0
    for count, record in enumerate(records(), start=1):
        tags = {tag.key: tag.value for tag in entities.tags(record)} | {"mlflow.parentRunId": record.execution.key}
        made = store.client.create_run(store.experiment, record.started + count, tags, record.stage)
        store.client.set_terminated(made.info.run_id, record.status, record.ended)
    return count


def records() -> Iterator[RunRecord]:
    """Every preparation of one raw file, every teacher of each, every student of those."""
    raw = Item(RAW, hashlib.md5(b"{}").hexdigest(), model=False)
    for p in range(settings["prepared"]):
        prepared = _item("t", "prepared", p)
        yield _record("prepare@t", [raw], prepared)
        for t in range(settings["teachers of each"]):
            teacher = _item("t", "teacher", p, t)
            yield _record("teach@t", [prepared], teacher)
            for s in range(settings["students of each"]):
                found, student = _item(f"s{s}", "found", p, t, s), _item(f"s{s}", "student", p, t, s)
                yield _record(f"search@s{s}", [prepared, teacher], found)
                yield _record(f"distill@s{s}", [prepared, teacher, found], student)


def _item(owner: str, what: str, *which: int) -> Item:
    return Item(f"data/{owner}/{what}", hashlib.md5(f"{what}{which}".encode()).hexdigest() + ".dir", model=what in ("teacher", "student"))


def _record(stage: str, inputs: list[Item], output: Item) -> RunRecord:
    """With the tags of a real run: hashes of code, versions, the settings that differ."""
    code = [Item(f"stages/{part}", "0" * 32 + ".dir", model=False) for part in ("core", "workloads/toy", f"{stage.partition('@')[0]}.py")]
    tags = {"dvc.stage": stage, "dvc.fingerprint": hashlib.sha256(output.md5.encode()).hexdigest(), "dvc.rev": "c" * 40}
    tags |= {f"version.{package}": "1.0" for package in ("torch", "numpy", "scipy", "pyarrow", "pydantic", "dvc", "prefect", "mlflow")}
    tags |= {"dvc.dirty": "false", "device": "cpu", "stillhouse.settings": json.dumps({f"fit.setting{i}": str(i) for i in range(12)})}
    execution = Execution("e" * 32, "", managed=True)
    return RunRecord(output.md5, stage, execution, "FINISHED", 1_000_000, 1_001_000, {}, tags, inputs=[*inputs, *code], output=output)


def _command(place: Path) -> list[Any]:
    command = [sys.executable, "-m", "stillhouse.cli", "lineage", RAW, "--forward", "--json"]
    done = subprocess.run(command, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    models: list[Any] = json.loads(done.stdout)["models"]
    return models


def _models(runs: Iterator[dict[str, Any]]) -> int:
    return sum(run["tags"]["dvc.stage"].startswith(("teach@", "distill@")) for run in runs)


def _import() -> int:
    """In a process of its own; nothing is counted."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", "from mlflow import MlflowClient"], check=True)
    return -1
