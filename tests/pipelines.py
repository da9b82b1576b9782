"""A real DVC repository with the real dvc.yaml, in which the stages do no work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import until
from tests.projects import copy_library

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
TINY = REPOSITORY / "tests/tiny"


def student(teacher: str, method: str) -> dict[str, Any]:
    """A student block of the shape that dvc.yaml asks for."""
    search = {"method": method, "budget": {"unit": "macs", "share": 0.5}}
    return {
        "teacher": teacher,
        "workload": "toy",
        "search": search,
        "distill": {"losses": [{"loss": "logits", "weight": 1.0}]},
        "evaluate": {},
    }


def teacher(workload: str) -> dict[str, Any]:
    """A teacher block of the shape that dvc.yaml asks for."""
    return {"workload": workload, "raw": "data/raw/toy.json", "prepare": {"noise": 0.1}, "teach": {"fit": {"epochs": 3}}}


PARAMS = {
    "seed": 1,
    "threads": 1,
    "teachers": {"rings": teacher("toy"), "other": teacher("unrelated")},
    "students": {"half": student("rings", "uniform"), "third": student("rings", "random")},
}


class Project:
    """The folder, and what a test does in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, path: str, value: Any) -> None:
        """Changes one value of params.yaml: "students.half.distill.losses.0.weight"."""
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place = params
        for step in way:
            place = place[step]
        place[last] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def order(self, **orders: Mapping[str, Any]) -> None:
        """Tells stages what to do; `__` stands for the @ of a stage's name."""
        (self.folder / "orders.json").write_text(json.dumps({name.replace("__", "@"): order for name, order in orders.items()}))

    def append(self, path: str, text: str) -> None:
        """Edits a file."""
        with (self.folder / path).open("a") as file:
            file.write(text)

    def ran(self) -> list[str]:
        """The stages whose command ran, since the last time this was asked."""
        path = self.folder / "ran.txt"
        names = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return names

    def process(self, stage: str) -> int:
        """The process id of a stage's command, once it runs."""
        path = self.folder / ".work" / stage / "fingerprint" / "seen.json"
        until(path.exists)
        return int(path.with_name("process").read_text())

    def forget(self, stage: str) -> None:
        """What an earlier run of a stage left, so that `process` waits for the next one."""
        (self.folder / ".work" / stage / "fingerprint" / "seen.json").unlink(missing_ok=True)

    def call(self, *module: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs `python -m ...` in the folder."""
        command = [sys.executable, "-m", *module]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **environment}, text=True, capture_output=True, timeout=240, check=False
        )

    def start(self, *module: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `python -m ...` in the folder."""
        command = [sys.executable, "-m", *module]
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


@pytest.fixture(scope="session")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("STILLHOUSE_", "PREFECT_", "DVC_", "MLFLOW_"))]:
            patch.delenv(name)
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc")))
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "someone")
            patch.setenv(f"GIT_{who}_EMAIL", "someone@example.org")
        yield


@pytest.fixture(scope="session")
def fresh_template(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Path:
    """Nothing has run yet."""
    folder = tmp_path_factory.mktemp("fresh") / "project"
    copy_library(folder)
    for name in ("prepare", "teach", "search", "distill", "evaluate", "compare"):
        (folder / "stages" / f"{name}.py").write_text(f"# {name}\n")
    shutil.copy(HERE / "flows/stub.py", folder / "stages" / "__main__.py")
    shutil.copy(HERE / "flows/stub_track.py", folder / "stillhouse/tracking" / "__main__.py")
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False))
    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/raw/toy.json").write_text("{}")
    commit(folder)
    return folder


@pytest.fixture(scope="session")
def done_template(fresh_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything has run, by plain `dvc repro`."""
    folder = tmp_path_factory.mktemp("done") / "project"
    shutil.copytree(fresh_template, folder, symlinks=True)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
    (folder / "ran.txt").unlink()
    return folder


def commit(folder: Path) -> None:
    """Makes a Git repository of a folder, with all in it committed."""
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "project"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def build_toy(folder: Path) -> None:
    """A repository with the real stages on the toy workload: one teacher, one student."""
    copy_library(folder)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "data/raw").mkdir(parents=True)
    shutil.copy(TINY / "toy.json", folder / "data/raw")
    params = yaml.safe_load((TINY / "params.yaml").read_text())
    del params["students"]["third"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    commit(folder)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Project]:
    """Copies a template and goes there."""

    def copy(template: Path) -> Project:
        folder = tmp_path / "project"
        shutil.copytree(template, folder, symlinks=True)
        monkeypatch.chdir(folder)
        return Project(folder)

    return copy


@pytest.fixture
def fresh(fresh_template: Path, copied: Callable[[Path], Project]) -> Project:
    """A project in which nothing has run."""
    return copied(fresh_template)


@pytest.fixture
def done(done_template: Path, copied: Callable[[Path], Project]) -> Project:
    """A project in which everything is up to date."""
    return copied(done_template)
