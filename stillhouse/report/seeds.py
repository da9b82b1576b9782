"""What other seeds gave: the experiments of DVC in which nothing but the seed differs for a student.

dvc exp run --set-param seed=2
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

MOST = 100
"""So many experiments are looked at, the newest."""
_OF_TEACHER, _OF_STUDENT = ("prepare", "teach"), ("search", "distill", "evaluate")
_LOCK, _METRICS = "dvc.lock", "data/comparison.json"
Stages = Mapping[str, Any]


def read(folder: Path, students: Mapping[str, str]) -> dict[str, dict[int, float]]:
    """Quality by seed of each student (student -> teacher) that two seeds or more are known of; what cannot be read is left out."""
    with suppress(OSError):
        own = _result((folder / _LOCK).read_text(encoding="utf-8"), (folder / _METRICS).read_text(encoding="utf-8"))
        results = [result for result in (own, *_experiments(folder)) if result] if own else []
        found = {student: _by_seed(results, student, teacher) for student, teacher in students.items()}
        return {student: seeds for student, seeds in found.items() if len(seeds) > 1}
    return {}


def _by_seed(results: list[tuple[Stages, Mapping[str, float]]], student: str, teacher: str) -> dict[int, float]:
    """The folder's own result, which is the first, and those that are of the same data, code and settings."""
    names = [*(f"{verb}@{teacher}" for verb in _OF_TEACHER), *(f"{verb}@{student}" for verb in _OF_STUDENT)]
    seeds: dict[int, float] = {}
    wanted = None
    for stages, metrics in results:
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            seed, facts = _facts([stages[name] for name in names])
            wanted = wanted or facts
            if facts == wanted:
                seeds.setdefault(seed, float(metrics[f"{student}.quality"]))
    return seeds


def _facts(entries: list[Any]) -> tuple[int, str]:
    """The seed of some stages, and all else that they were made of."""
    made = {item["path"] for entry in entries for item in entry["outs"]}
    inputs = [[(item["path"], item["md5"]) for item in entry["deps"] if item["path"] not in made] for entry in entries]
    params = [dict(entry["params"]["params.yaml"]) for entry in entries]
    [seed] = {values.pop("seed") for values in params}
    return int(seed), json.dumps([inputs, params, [entry["cmd"] for entry in entries]], sort_keys=True, default=str)


def _experiments(folder: Path) -> Iterator[tuple[Stages, Mapping[str, float]] | None]:
    command = ["for-each-ref", "--sort=-committerdate", f"--count={MOST}", "--format=%(objectname)", "refs/exps/??/*/*"]
    for commit in _git(folder, *command).split():
        yield _result(_git(folder, "show", f"{commit}:./{_LOCK}"), _git(folder, "show", f"{commit}:./{_METRICS}"))


def _result(lock: str, metrics: str) -> tuple[Stages, Mapping[str, float]] | None:
    """The stages of a dvc.lock and the numbers of the comparison."""
    try:
        return YAML(typ="safe").load(lock)["stages"], json.loads(metrics)
    except (YAMLError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _git(folder: Path, *words: str) -> str:
    """What git prints; nothing without a repository."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
