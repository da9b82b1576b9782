"""Executions of a small pipeline with faults injected at random, each started again until it ends well, compared with one let alone.

What is injected, and how, follows from the seed; when it strikes depends on the machine too. Compared are the bytes of all outputs, but for
the numbers that measure time; what is left open in MLflow and in Prefect; what is counted twice; processes and partial files left over.
No clock is set back: files get the times that they would then seem to have.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import _disk, stage_cost
from benchmarks._faults import FAULTS, Trial

name = "faults"
expected_seconds = 4000
settings: dict[str, Any] = {"count": 50, "seed": 1, "only": ""}
"""`only`: words, separated by commas, one of which is in the name of a fault."""

TRIES = 3
"""How often an execution may be started again."""
AGAIN = {"cache object corrupted", "dvc.lock cut"}
"""After these a result may rightly have to be made a second time, in a run of its own."""
_OPEN = "SELECT count(*) FROM {} WHERE state_type NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """For each fault: executions, how many the fault struck in time, how many ended right, and the longest time that recovery took."""
    print(f"small disks: {'tmpfs' if _disk.can_mount() else 'not permitted, a limit of the size of a file in their place'}")
    with tempfile.TemporaryDirectory() as folder:
        project, template = Path(folder) / "project", Path(folder) / "template"
        make(project)
        project.rename(template)
        seconds, wanted = undisturbed(template, project)
        print(f"undisturbed: {seconds:.0f} s, {len(wanted)} files")
        found: dict[str, list[Outcome]] = {}
        for number, (fault, rng) in enumerate(drawn(), 1):
            restore(template, project)
            outcome = one(fault, Trial(project, seconds, rng), wanted)
            found.setdefault(fault, []).append(outcome)
            print(f"{number}: {fault}: {outcome}", flush=True)
    return [row for fault in FAULTS if fault in found for row in _rows(fault, found[fault])]


def exit_status(rows: list[dict[str, Any]]) -> int:
    """1 if an execution did not end right."""
    values = {(row["method"], row["metric"]): row["mean"] for row in rows}
    return int(any(values[fault, "ended right"] < values[fault, "executions"] for fault, _ in values))


def drawn() -> Iterator[tuple[str, random.Random]]:
    """The faults in a random order in which each comes before any comes again, each with its own generator."""
    rng = random.Random(settings["seed"])
    wanted = str(settings["only"]).split(",")
    kinds = [fault for fault in FAULTS if any(word in fault for word in wanted)]
    for number in range(settings["count"]):
        if number % len(kinds) == 0:
            rng.shuffle(kinds)
        yield kinds[number % len(kinds)], random.Random(rng.getrandbits(64))


@dataclass(frozen=True)
class Outcome:
    """What is not right after an execution with a fault, and the seconds that it took to recover; `struck`: the fault came in time."""

    wrong: list[str]
    seconds: float
    struck: bool

    def __str__(self) -> str:
        late = "" if self.struck else " (the execution had ended before)"
        return f"{'; '.join(self.wrong) or 'right'}, {self.seconds:.0f} s to recover{late}"


def one(fault: str, trial: Trial, wanted: Mapping[str, str]) -> Outcome:
    """Injects a fault, starts the execution again until it ends well, and compares."""
    FAULTS[fault](trial)
    began = time.monotonic()
    wrong = ["the execution hung"] if trial.hung else []
    status = next((0 for _ in range(TRIES) if trial.end(trial.start()) == 0), 1)
    seconds = time.monotonic() - began
    if status:
        wrong.append(f"no success in {TRIES} tries: {trial.said.read_text().strip().splitlines()[-1]}")
    wrong += other(wanted, contents(trial.place))
    wrong += _open_runs(trial.place) + _counted(trial.place, again=fault in AGAIN) + left_behind(trial)
    trial.said.unlink()
    return Outcome(wrong, seconds, trial.struck)


def make(place: Path) -> None:
    """The project, run once, committed, and then given another seed: everything is due, and an earlier result of everything is in place."""
    stage_cost.set_up(place)
    params = yaml.safe_load((place / "params.yaml").read_text())
    for command in (["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "results"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    params["seed"] = 7
    (place / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def undisturbed(template: Path, project: Path) -> tuple[float, dict[str, str]]:
    """How long an execution takes, and what it makes.

    Raises:
        RuntimeError: it fails by itself.
    """
    restore(template, project)
    trial = Trial(project, 0.0, random.Random(0))
    began = time.monotonic()
    if trial.end(trial.start()):
        raise RuntimeError(f"the execution fails without any fault: {trial.said.read_text()}")
    seconds = time.monotonic() - began
    if wrong := _open_runs(project) + _counted(project, again=False) + left_behind(trial):
        raise RuntimeError(f"without any fault: {wrong}")
    trial.said.unlink()
    return seconds, contents(project)


def restore(template: Path, project: Path) -> None:
    """Always at the same path, which MLflow's database holds."""
    shutil.rmtree(project, ignore_errors=True)
    shutil.rmtree(project.parent / "dvc", ignore_errors=True)
    shutil.copytree(template, project, symlinks=True)


def contents(place: Path) -> dict[str, str]:
    """Every output by the hash of its bytes, without what measures time."""
    made = [path for path in (place / "data").rglob("*") if path.is_file() and path.suffix not in (".svg", ".md")]
    return {str(path.relative_to(place)): hashlib.sha256(_timeless(path)).hexdigest() for path in sorted(made)}


def _timeless(path: Path) -> bytes:
    return json.dumps(_without_times(json.loads(path.read_bytes()))).encode() if path.suffix == ".json" else path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if "latency" not in key}
    if isinstance(value, list):  # the fingerprint of a comparison is that of reports, in which times stand
        return [_without_times(inner) for inner in value if not str(inner).startswith("fingerprint ")]
    return value


def other(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """The outputs that differ, or are there in one of the two only."""
    return [f"{path} differs" for path in sorted(wanted.keys() | found.keys()) if wanted.get(path) != found.get(path)]


def _open_runs(place: Path) -> list[str]:
    with closing(sqlite3.connect(place / "mlflow.db")) as mlflow, closing(sqlite3.connect(place / ".prefect/prefect.db")) as prefect:
        counts = {"MLflow": mlflow.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]}
        counts["Prefect"] = sum(prefect.execute(_OPEN.format(table)).fetchone()[0] for table in ("flow_run", "task_run"))
    return [f"{count} runs are open in {where}" for where, count in counts.items() if count]


def _counted(place: Path, *, again: bool) -> list[str]:
    """Finished runs of MLflow by stage and what the stage read, for what is in place now."""
    tags = "SELECT t.run_uuid, t.key, t.value FROM tags t JOIN runs r USING (run_uuid) WHERE r.status = 'FINISHED'"
    runs: dict[str, dict[str, str]] = {}
    with closing(sqlite3.connect(place / "mlflow.db")) as mlflow:
        for identifier, key, value in mlflow.execute(tags):
            runs.setdefault(identifier, {})[key] = value
    counts = Counter((tags["dvc.stage"], tags["dvc.fingerprint"]) for tags in runs.values() if "dvc.stage" in tags)
    twice = [f"{stage} is counted {count} times" for (stage, _), count in counts.items() if count > 1 and not again]
    stages = Counter(stage for stage, _ in counts)
    waiting = len(list((place / ".work/outbox").glob("*.json")))
    absent = [f"{stage} is not counted" for stage, count in stages.items() if count < 2]
    return twice + absent + ([f"{waiting} records wait"] if waiting else [])


def left_behind(trial: Trial) -> list[str]:
    """Processes that do not end, which are then killed, and files in `data` that are not whole."""
    deadline = time.monotonic() + 30
    while (left := trial.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    wrong = [f"still running: {' '.join(process.cmdline()[1:5])}" for process in left]
    for process in left:
        process.kill()
    partial = [path for path in (trial.place / "data").rglob(".*") if path.name != ".gitignore"]
    return wrong + [f"left over: {path.relative_to(trial.place)}" for path in partial]


def _rows(fault: str, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    values = {
        "executions": len(outcomes),
        "struck in time": sum(outcome.struck for outcome in outcomes),
        "ended right": sum(not outcome.wrong for outcome in outcomes),
        "worst seconds to recover": max(outcome.seconds for outcome in outcomes),
    }
    return [{"set": "toy", "method": fault, "metric": metric, "mean": value, "sd": 0.0, "seeds": 1} for metric, value in values.items()]
