"""Experiments in which only the seed differs are the same student again; any other is another one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse.report import seeds

Change = Callable[[dict[str, Any]], object]


def lock(seed: int) -> dict[str, Any]:
    """The dvc.lock of one teacher and one student, whose results depend on the seed."""
    names = {
        "prepare@rings": "prepared",
        "teach@rings": "teacher",
        "search@half": "found",
        "distill@half": "student",
        "evaluate@half": "report",
    }
    stages, before = {}, "data/raw/toy.json"
    for name, made in names.items():
        deps = [{"path": before, "md5": "raw" if "raw" in before else f"{before}{seed}"}, {"path": "stillhouse/training", "md5": "code"}]
        before = f"data/{made}"
        params = {"params.yaml": {"seed": seed, "threads": 1, f"block.{name}": {"width": 4}}}
        outs = [{"path": before, "md5": f"{before}{seed}"}]
        stages[name] = {"cmd": f"python {name}", "deps": deps, "params": params, "outs": outs}
    return stages


def write(folder: Path, stages: dict[str, Any], quality: float) -> None:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    (folder / "data/comparison.json").write_text(json.dumps({"half.quality": quality, "made": ["fingerprint x"]}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project below the top of its repository, with results of seed 1."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "someone@example.org")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", lock(1), 0.9)
    return tmp_path / "below"


def experiment(folder: Path, name: str, stages: dict[str, Any], quality: float) -> None:
    """A commit where DVC keeps its experiments; what lies in the folder stays."""
    kept = {path: path.read_bytes() for path in (folder / "dvc.lock", folder / "data/comparison.json")}
    write(folder, stages, quality)
    ref = f"refs/exps/ab/{'c' * 38}/{name}"
    for command in (["add", "-A"], ["commit", "-qm", name], ["update-ref", ref, "HEAD"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    for path, content in kept.items():
        path.write_bytes(content)


def test_qualities_by_seed_with_ones_own_first(folder: Path) -> None:
    assert seeds.read(folder, {"half": "rings"}) == {}, "one seed is no spread"
    experiment(folder, "two", lock(2), 0.8)
    experiment(folder, "three", lock(3), 0.85)
    experiment(folder, "again", lock(1), 0.1)
    assert seeds.read(folder, {"half": "rings", "unknown": "rings"}) == {"half": {1: 0.9, 2: 0.8, 3: 0.85}}


def _of(change: Callable[[dict[str, Any]], Any], stage: str) -> Change:
    return lambda stages: change(stages[stage])


OTHERS: dict[str, Change] = {
    "settings": _of(lambda stage: stage["params"]["params.yaml"].update({"block.search@half": {"width": 5}}), "search@half"),
    "threads": _of(lambda stage: stage["params"]["params.yaml"].update(threads=2), "teach@rings"),
    "code": _of(lambda stage: stage["deps"][1].update(md5="edited"), "distill@half"),
    "raw data": _of(lambda stage: stage["deps"][0].update(md5="other"), "prepare@rings"),
    "the command": _of(lambda stage: stage.update(cmd="python other"), "evaluate@half"),
    "two seeds": _of(lambda stage: stage["params"]["params.yaml"].update(seed=9), "evaluate@half"),
    "a missing stage": lambda stages: stages.pop("distill@half"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_in_more_is_another_student(folder: Path, other: str) -> None:
    stages = lock(2)
    OTHERS[other](stages)
    experiment(folder, "other", stages, 0.8)
    assert seeds.read(folder, {"half": "rings"}) == {}


def test_what_cannot_be_read_is_left_out(folder: Path, tmp_path: Path) -> None:
    experiment(folder, "broken", [], 0.5)  # type: ignore[arg-type]
    experiment(folder, "two", lock(2), 0.8)
    assert seeds.read(folder, {"half": "rings"}) == {"half": {1: 0.9, 2: 0.8}}
    (folder / "dvc.lock").write_text("stages: [")
    assert seeds.read(folder, {"half": "rings"}) == {}
    assert seeds.read(tmp_path / "nothing", {"half": "rings"}) == {}
