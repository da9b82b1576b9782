"""Every run of a stage that MLflow has, past executions and deleted runs too.

A database in a file is read by SQL: the four columns and two tables used here are as old as MLflow's database, and importing MLflow
and letting it build its own objects took eighty times as long. Any other tracker is asked by `python -m stillhouse.tracking runs`,
and a test compares the two.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.lineage.links import Link

EXPERIMENT = "stillhouse"
READ, WRITTEN, UNCHANGED, MACHINE = "dvc.in.", "dvc.out.", "unchanged.", "version."
_RUNS = """
select run_uuid, runs.lifecycle_stage, status, start_time from runs join experiments using (experiment_id)
where experiments.name = ?
"""
_TAGS = """
select run_uuid, key, value from tags
where key in ('dvc.stage', 'dvc.fingerprint', 'dvc.rev', 'dvc.dirty', 'stillhouse.settings', 'mlflow.parentRunId', 'device', 'threads')
or key like 'dvc.in.%' or key like 'dvc.out.%' or key like 'unchanged.%' or key like 'version.%'
"""


def read(folder: Path) -> tuple[list[Link], dict[str, frozenset[str]]]:
    """What each finished run read and wrote, the oldest first; and for each execution the runs whose results it was about.

    Raises:
        UserError: the tracker does not answer.
    """
    _forward(folder)
    runs = list(_runs(folder))
    links = [_link(run) for run in runs if run["status"] == "FINISHED" and "dvc.stage" in run["tags"]]
    executions: dict[str, set[str]] = {}
    for run in runs:
        tags = run["tags"]
        if "mlflow.parentRunId" in tags:
            executions.setdefault(tags["mlflow.parentRunId"], set()).add(run["run"])
        executions.setdefault(run["run"], set()).update(value for name, value in tags.items() if name.startswith(UNCHANGED))
    return sorted(links, key=lambda link: link.started), {key: frozenset(ids) for key, ids in executions.items() if ids}


def _forward(folder: Path) -> None:
    """Lets the tracker be told first what a stage has just left for it; if that fails, what is known already is told."""
    if any((folder / ".work/outbox").glob("*.json")):
        command = [sys.executable, "-W", "ignore", "-m", "stillhouse.tracking", "sync"]
        subprocess.run(command, cwd=folder, capture_output=True, check=False)


def ask(folder: Path, *words: str) -> Any:
    """What `python -m stillhouse.tracking ...` replies, which imports MLflow.

    Raises:
        UserError: it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", "stillhouse.tracking", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or [f"{' '.join(words)}: no answer from MLflow"])[-1])
    return json.loads(done.stdout)


def address(folder: Path) -> str:
    """Where the runs are, as MLflow writes it."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"


def _runs(folder: Path) -> Iterator[dict[str, Any]]:
    database = re.fullmatch(r"sqlite:///(.+)", address(folder))
    if not database:
        yield from ask(folder, "runs")
    elif (path := folder / database[1]).exists():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield from _rows(connection)


def _rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    try:
        runs = connection.execute(_RUNS, [EXPERIMENT]).fetchall()
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in connection.execute(_TAGS):
            tags.setdefault(run, {})[key] = value
    except sqlite3.Error as error:
        raise UserError(f"MLflow's database cannot be read ({error}): is it one, and of MLflow 3?") from error
    for run, stage, status, started in runs:
        yield {"run": run, "deleted": stage == "deleted", "status": status, "started": started, "tags": tags.get(run, {})}


def _link(run: Mapping[str, Any]) -> Link:
    tags: Mapping[str, str] = run["tags"]
    return Link(
        stage=tags["dvc.stage"],
        inputs=_hashes(tags, READ),
        outputs=_hashes(tags, WRITTEN),
        fingerprint=tags.get("dvc.fingerprint", ""),
        run=run["run"],
        execution=tags.get("mlflow.parentRunId"),
        started=run["started"],
        deleted=run["deleted"],
        commit=tags.get("dvc.rev"),
        dirty=tags.get("dvc.dirty") == "true",
        machine={name: value for name, value in tags.items() if name in ("device", "threads") or name.startswith(MACHINE)},
        parameters=json.loads(tags["stillhouse.settings"]) if "stillhouse.settings" in tags else None,
    )


def _hashes(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {path_of(name.removeprefix(prefix)): value for name, value in tags.items() if name.startswith(prefix)}


def path_of(name: str) -> str:
    """A path from a tag's name, in which `:2b:` stands for a mark that MLflow does not take."""
    return re.sub(r":([0-9a-f]+):", lambda found: chr(int(found[1], 16)), name)


def newest(links: Iterable[Link], stages: Sequence[str]) -> Link | None:
    """The latest run of one of some stages."""
    return max((link for link in links if link.stage in stages), key=lambda link: link.started, default=None)
