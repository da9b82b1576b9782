"""One story on the real stages with a real MLflow server, and after each step what lineage says beside what git and dvc.lock say.

A first model; another loss weight on a branch, uncommitted as it runs; other raw data; and back at the first commit, where DVC restores
everything and nothing is trained.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse import lineage
from stillhouse.flows.stage import end_group
from tests.pipelines import Project, build_toy
from tests.processes import free_port, until

STUDENT = "data/half/student"
pytestmark = pytest.mark.timeout(900)
Tree = dict[str, Any]


@dataclass
class Step:
    """One execution: the commit it ran on, how many runs there were after it, and what lineage said."""

    ran_on: str
    dirty: bool
    runs: int
    back: Tree
    ahead: Tree
    student: bytes
    raw: str = ""
    locked: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Iterator[tuple[Project, dict[str, Step]]]:
    """All steps in one project."""
    project = Project(tmp_path_factory.mktemp("story") / "project")
    build_toy(project.folder)
    _git(project.folder, "branch", "-M", "main")
    with pytest.MonkeyPatch.context() as patch, _server(project.folder) as address:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder.parent / 'runs.db'}")
        patch.setenv("STORY_SERVER", address)
        steps = {"first": _step(project, "first")}
        _git(project.folder, "checkout", "-qb", "weight")
        project.set("students.half.distill.losses.0.weight", 2.0)
        steps["weight"] = _step(project, "weight")
        _git(project.folder, "checkout", "-q", "main")
        (project.folder / "data/raw/toy.json").write_text('{"rows": 300, "rings": 3}')
        _git(project.folder, "commit", "-qam", "more rows")
        steps["raw"] = _step(project, "raw")
        _git(project.folder, "checkout", "-q", "first")
        steps["back"] = _step(project, "back")
        yield project, steps


class _server:
    """MLflow's own, on a database in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.parent

    def __enter__(self) -> str:
        port = free_port()
        place = [
            "--backend-store-uri",
            f"sqlite:///{self.folder / 'runs.db'}",
            "--default-artifact-root",
            (self.folder / "artifacts").as_uri(),
        ]
        words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *place]
        settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.log = (self.folder / "server.log").open("wb")
        self.process = subprocess.Popen([sys.executable, *words], env=settings, stdout=self.log, stderr=self.log, process_group=0)
        address = f"http://127.0.0.1:{port}"
        until(lambda: self._answers(address), 120)
        return address

    def _answers(self, address: str) -> bool:
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return True
        time.sleep(0.2)
        return False

    def __exit__(self, *_: object) -> None:
        end_group(self.process)
        self.process.wait()
        self.log.close()


def _step(project: Project, name: str) -> Step:
    """Runs what is due up to the student, asks for its lineage, and commits."""
    folder = project.folder
    ran_on, dirty = _git(folder, "rev-parse", "HEAD"), bool(_git(folder, "status", "--porcelain", "params.yaml"))
    done = project.call("dvc", "repro", "distill@half", MLFLOW_TRACKING_URI=os.environ["STORY_SERVER"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.call("stillhouse.tracking", "sync", MLFLOW_TRACKING_URI=os.environ["STORY_SERVER"]).returncode == 0
    back, ahead = lineage.backward(folder, "half"), lineage.forward(folder, str(folder / "data/raw/toy.json"))
    step = Step(ran_on, dirty, _runs(folder), back, ahead, (folder / STUDENT / "model.safetensors").read_bytes())
    if name != "back":
        _git(folder, "add", "-A")
        _git(folder, "commit", "-qm", name)
        _git(folder, "tag", name)
    step.locked = yaml.safe_load(_git(folder, "show", "HEAD:dvc.lock"))["stages"]
    step.raw = subprocess.run(["md5sum", "data/raw/toy.json"], cwd=folder, capture_output=True, text=True, check=True).stdout.split()[0]
    return step


def _runs(folder: Path) -> int:
    with sqlite3.connect(folder.parent / "runs.db") as database:
        (count,) = database.execute("select count(*) from tags where key = 'dvc.stage'").fetchone()
    return int(count)


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def chain(locked: dict[str, Any], path: str, md5: str) -> dict[tuple[str, str], str | None]:
    """All that a thing was made of according to dvc.lock alone: (path, hash) -> stage."""
    for stage, entry in locked.items():
        if any((out["path"], out["md5"]) == (path, md5) for out in entry["outs"]):
            found: dict[tuple[str, str], str | None] = {(path, md5): stage}
            for dep in entry["deps"]:
                if dep["path"].startswith("data/"):
                    found |= chain(locked, dep["path"], dep["md5"])
            return found
    return {(path, md5): None}


def output(locked: dict[str, Any], stage: str, path: str) -> tuple[str, str]:
    return next((out["path"], out["md5"]) for out in locked[stage]["outs"] if out["path"] == path)


def flat(tree: Tree, way: str = "inputs") -> dict[tuple[str, str], Tree]:
    found = {(tree["path"], tree["hash"]): tree}
    for each in tree[way]:
        found |= flat(each, way)
    return found


def first_to_have(steps: dict[str, Step], thing: tuple[str, str]) -> Step:
    """By the files in git: the first step whose dvc.lock has the thing as an output."""
    for step in steps.values():
        if any((out["path"], out["md5"]) == thing for entry in step.locked.values() for out in entry["outs"]):
            return step
    raise AssertionError(thing)


NAMES = ["first", "weight", "raw", "back"]


@pytest.mark.parametrize("name", NAMES)
def test_backward_a_student_is_made_of_what_dvc_lock_says_by_runs_on_the_commits_that_git_says(story, name):
    _, steps = story
    step = steps[name]
    found = flat(step.back)
    assert {thing: tree["stage"] for thing, tree in found.items()} == chain(step.locked, *output(step.locked, "distill@half", STUDENT))
    assert len(found) == 5, "student, architecture, teacher, prepared and raw data"
    for thing, tree in found.items():
        if tree["stage"]:
            origin = first_to_have(steps, thing)
            assert (tree["commit"], tree["dirty"]) == (origin.ran_on, origin.dirty)
            entry = step.locked[tree["stage"]]
            assert {**tree["code"], **tree["reads"]} == {dep["path"]: dep["md5"] for dep in entry["deps"]}
            assert (tree["missing"], len(tree["run"]), tree["also"]) == (None, 32, [])


@pytest.mark.parametrize("name", NAMES)
def test_forward_raw_data_lead_to_the_models_that_any_dvc_lock_so_far_says(story, name):
    _, steps = story
    so_far = [steps[each] for each in NAMES[: NAMES.index(name) + 1]]
    step = steps[name]
    expected = set()
    for each in so_far:
        for model in (output(each.locked, "teach@rings", "data/rings/teacher"), output(each.locked, "distill@half", STUDENT)):
            if ("data/raw/toy.json", step.raw) in chain(each.locked, *model):
                expected.add(model)
    assert {(model["path"], model["hash"]) for model in step.ahead["models"]} == expected
    assert len(expected) == {"first": 2, "weight": 3, "raw": 2, "back": 3}[name]
    here = {(model["path"], model["hash"]) for model in step.ahead["models"] if model["here"]}
    assert here == {output(step.locked, "teach@rings", "data/rings/teacher"), output(step.locked, "distill@half", STUDENT)}


def test_a_model_that_was_restored_belongs_to_the_runs_that_made_it(story):
    _, steps = story
    assert (steps["weight"].runs, steps["raw"].runs) == (5, 9), "one stage for the weight, all four for other data"
    assert steps["back"].runs == steps["raw"].runs, "nothing was trained"
    assert steps["back"].back == steps["first"].back
    assert steps["back"].student == steps["first"].student != steps["weight"].student


def test_the_parameters_that_differ_from_their_defaults_are_told(story):
    _, steps = story
    assert steps["weight"].back["parameters"]["losses.0.weight"] == "2.0"
    assert "losses.0.weight" not in steps["first"].back["parameters"], "1 is the default"
    assert steps["first"].back["parameters"]["fit.epochs"] == "4"


def test_every_way_to_name_a_model_leads_to_it(story):
    project, steps = story
    tree = steps["weight"].back
    for what in (tree["run"], tree["run"][:12], tree["hash"], tree["hash"][:8]):
        assert lineage.backward(project.folder, what) == tree
    assert lineage.backward(project.folder, str(project.folder / STUDENT / "model.safetensors")) == steps["back"].back


def test_a_registered_version_behind_a_server_leads_to_its_model(story, monkeypatch):
    from mlflow import MlflowClient

    project, steps = story
    tree = steps["weight"].back
    client = MlflowClient(os.environ["STORY_SERVER"])
    [version] = [each.version for each in client.search_model_versions("name = 'half'") if each.run_id == tree["run"]]
    client.set_registered_model_alias("half", "looked-for", version)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", os.environ["STORY_SERVER"])
    for name in (f"models:/half/{version}", "models:/half@looked-for"):
        assert lineage.backward(project.folder, name) == tree


def test_links_that_are_missing_are_named_and_git_helps_where_it_can(story, tmp_path, monkeypatch):
    project, steps = story
    tree = steps["weight"].back
    shutil.copy(project.folder.parent / "runs.db", tmp_path / "runs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("update runs set lifecycle_stage = 'deleted' where run_uuid = ?", [tree["run"]])
    assert lineage.backward(project.folder, tree["hash"])["missing"] == "its run was deleted in MLflow"
    with sqlite3.connect(tmp_path / "runs.db") as database:
        for table in ("tags", "runs"):
            database.execute(f"delete from {table}")
    assert lineage.backward(project.folder, "half")["missing"].startswith("no run is recorded")
    _git(project.folder, "checkout", "-q", "weight")
    try:
        told = lineage.backward(project.folder, "half")
        (project.folder / "dvc.lock").unlink()
        silent = lineage.Backward(project.folder, lineage.read(project.folder)).tree((tree["path"], tree["hash"]), frozenset())
    finally:
        _git(project.folder, "checkout", "-qf", "first")
    assert {thing: each["stage"] for thing, each in flat(told).items()} == {thing: each["stage"] for thing, each in flat(tree).items()}
    assert (silent["commit"], silent["run"]) == (_git(project.folder, "rev-parse", "weight"), None)
    assert set(flat(silent)) == set(flat(tree))


def test_a_teacher_of_another_commit_is_made_again_to_the_byte_and_nothing_is_left_behind(story):
    project, steps = story
    run = next(tree["run"] for (path, _), tree in flat(steps["raw"].back).items() if path == "data/rings/teacher")
    before = _state(project.folder)
    done = project.call("stillhouse", "reproduce", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bytes: data/rings/teacher" in done.stdout
    assert _state(project.folder) == before
    assert _runs(project.folder) == steps["back"].runs, "nobody is told of it"


def _state(folder: Path) -> tuple[Any, ...]:
    left = sorted(path.name for path in (folder / ".work/reproduce").iterdir()) if (folder / ".work/reproduce").exists() else []
    return _git(folder, "status", "--porcelain"), _git(folder, "rev-parse", "HEAD"), _git(folder, "worktree", "list"), left


def test_a_model_of_changes_that_nobody_committed_is_not_made_again_without_being_asked(story):
    project, steps = story
    done = project.call("stillhouse", "reproduce", steps["weight"].back["run"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "with changes on top that nobody committed; --patch applies those that were kept with run" in done.stderr


def test_the_command_says_it_as_a_tree_as_json_and_as_a_picture(story, tmp_path):
    project, steps = story
    printed = project.call("stillhouse", "lineage", "half", COLUMNS="200").stdout
    assert [line.split()[-2] for line in printed.splitlines() if "  " in line.rstrip() and "data/" in line] == [
        "data/half/student",
        "data/half/found",
        "data/rings/teacher",
        "data/rings/prepared",
        "data/raw/toy.json",
    ]
    said = project.call("stillhouse", "lineage", "half", "--json", "--svg", str(tmp_path / "half.svg"))
    assert json.loads(said.stdout) == steps["back"].back
    assert (tmp_path / "half.svg").read_text().count("<rect") == 5
