"""Real projects to try the runner on: a copy of the library and the toy workload in a Git and DVC repository."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stillhouse import registry
from stillhouse.tracking import outbox

REPOSITORY = Path(__file__).parents[1]
TINY = REPOSITORY / "tests" / "tiny"
SLOW = '''"""The toy workload, but `prepare` takes until a file `go` appears."""

import time
from dataclasses import replace
from pathlib import Path

from parts.workloads.toy import WORKLOAD as TOY


def prepare(settings, raw, prepared, rng):
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    return TOY.prepare(settings, raw, prepared, rng)


WORKLOAD = replace(TOY, prepare=prepare)
'''
PARAMS = """\
seed: 1
threads: 1
teachers:
  rings:
    workload: toy
    raw: data/raw/toy.json
    prepare: {noise: 0.1}
    teach:
      model: {width: 12, depth: 2}
      data: {batch_size: 60}
      fit: {epochs: 3, learning_rate: 0.02}
  slow:
    workload: slow
    raw: data/raw/toy.json
    prepare: {noise: 0.1}
    teach:
      model: {width: 12, depth: 2}
      data: {batch_size: 60}
      fit: {epochs: 3, learning_rate: 0.02}
students:
  half:
    teacher: rings
    workload: toy
    search: {method: uniform, budget: {unit: macs, share: 0.5}}
    distill:
      losses: [{loss: logits, weight: 1.0}]
      data: {batch_size: 60}
      fit: {epochs: 2, learning_rate: 0.02}
    evaluate: {evaluations: [{evaluation: latency, settings: {rounds: 2, seconds: 0}}]}
"""


def copy_library(folder: Path) -> None:
    """The library as a project's own, as in this repository, with the toy workload among the project's parts."""
    for name in ("stillhouse", "stages", "flows"):
        ignored = shutil.ignore_patterns("__pycache__", "*.partial")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored, symlinks=True)
    shutil.copytree(TINY / "parts/workloads/toy", folder / "parts/workloads/toy", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that tests copy: committed, with an empty but initialised tracking database."""
    folder = tmp_path_factory.mktemp("template") / "project"
    copy_library(folder)
    (folder / "parts/workloads/slow").mkdir()
    (folder / "parts/workloads/slow/__init__.py").write_text(SLOW)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "data/raw").mkdir(parents=True)
    shutil.copy(TINY / "toy.json", folder / "data/raw")
    (folder / "params.yaml").write_text(PARAMS)
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True, cwd=folder)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "project"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        outbox.sync(folder)
    (folder / "mlflow.db").rename(folder.parent / "mlflow.db")
    shutil.rmtree(folder / ".work")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh project as working folder, its own tracker and DVC state; in-process calls find the toy workload too."""
    folder = tmp_path / "project"
    shutil.copytree(template, folder, symlinks=True)
    shutil.copy(template.parent / "mlflow.db", folder)
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("STILLHOUSE_", "PREFECT_", "DVC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        monkeypatch.delitem(sys.modules, name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield folder
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes in the project; whatever is left of their groups at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*command: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=project,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def runs(project: Path) -> Callable[[], list[Any]]:
    """The runs of the project's tracker, oldest first, an execution before its stages."""

    def read() -> list[Any]:
        from mlflow import MlflowClient

        client = MlflowClient()
        experiment = client.get_experiment_by_name(outbox.EXPERIMENT)
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id])
        found = [client.get_run(run.info.run_id) for run in found]  # a search does not tell the models
        return sorted(found, key=lambda run: (run.info.start_time, "dvc.stage" in run.data.tags))

    return read


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Puts a function with the signature of `prepare` in its place."""
    return lambda function: monkeypatch.setattr(
        registry.verb("prepare"), "prepare", functools.wraps(registry.verb("prepare").prepare)(function)
    )


def locked(project: Path) -> dict[str, Any]:
    path = project / "dvc.lock"
    return YAML(typ="safe").load(path)["stages"] if path.exists() else {}


def facts(project: Path) -> dict[str, Any]:
    """The metrics of the prepared data, without how they were made."""
    found: dict[str, Any] = json.loads((project / "data/rings/prepared.json").read_text())
    del found["made"]
    return found


def scratch(project: Path, stage: str) -> list[Path]:
    return [path for path in (project / ".work" / stage).iterdir() if path.is_dir()]


def only(runs: list[Any]) -> list[Any]:
    """The runs of stages."""
    return [run for run in runs if "dvc.stage" in run.data.tags]
