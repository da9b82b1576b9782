"""A project of somebody's own: the library as a wheel, own pictures, and a colleague who clones it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_wheel import build

PARAMS = """\
seed: 0
threads: 1
teachers:
  mine:
    workload: classify
    raw: data/raw/pictures
    prepare: {valid_share: 0.2, test_share: 0.2}
    teach:
      model: {family: resnet, stem: small, width: 4, blocks: [1]}
      data: {batch_size: 16}
      fit: {epochs: 1, learning_rate: 1.0e-2}
"""
Call = Callable[..., subprocess.CompletedProcess[str]]


def draw(folder: Path, label: str, rng: np.random.Generator) -> None:
    """Twenty pictures of a class, which are bright at the left or at the right."""
    (folder / label).mkdir(parents=True)
    for index in range(20):
        pixels = rng.integers(0, 80, (8, 8, 3))
        pixels[:, slice(0, 4) if label == "left" else slice(4, 8)] += 120
        Image.fromarray(pixels.astype("uint8")).save(folder / label / f"{index}.png")


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Runs a command in a folder, in an environment that has the wheel and everything but this repository."""
    place = tmp_path_factory.mktemp("environment")
    wheel = build(place)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv/bin/python"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DVC_", "MLFLOW_", "PREFECT_", "STILLHOUSE_"))
    }
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    # Elsewhere and without PYTHONPATH: pip takes what an editable installation leaves in this repository's folder for the library.
    subprocess.run(install, check=True, capture_output=True, cwd=place, env=kept)
    [packages] = (place / "venv/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    someone = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])

    def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        words = [str(python), "-m", *command] if command[0] in ("dvc", "stillhouse") else list(command)
        own = {"PATH": path, "DVC_SITE_CACHE_DIR": str(place / folder.name)}
        return subprocess.run(words, cwd=folder, env=kept | someone | own, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def project(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its teacher is trained, committed and pushed."""
    folder = tmp_path_factory.mktemp("elsewhere") / "project"
    assert call(folder.parent, "stillhouse", "init", "project").returncode == 0
    rng = np.random.default_rng(0)
    for label in ("left", "right"):
        draw(folder / "data/raw/pictures", label, rng)
    (folder / "params.yaml").write_text(PARAMS + "students: {}\n")
    commands = (
        ("dvc", "add", "-q", "data/raw/pictures"),
        ("dvc", "remote", "add", "-q", "-d", "store", "../store"),
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "begin"),
        ("stillhouse", "run", "mine"),
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "results"),
        ("dvc", "push", "-q"),
    )
    for command in commands:
        done = call(folder, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def clone(call: Call, project: Path, tmp_path: Path) -> Path:
    """What a colleague has after `git clone`; the store is where the remote says that it is."""
    call(tmp_path, "git", "clone", "-q", str(project), "clone")
    shutil.copytree(project.parent / "store", tmp_path / "store")
    return tmp_path / "clone"


def test_the_library_is_the_wheel(call, project):
    where = call(project, "python", "-c", "import stillhouse.stages; print(stillhouse.stages.__file__)").stdout
    assert "/venv/lib/" in where


def test_after_a_pull_nothing_is_due_for_a_colleague(call, clone):
    missing = call(clone, "stillhouse", "plan", "mine")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "data/raw/pictures - wanted by prepare@mine - there is none - put it there, or bring it back with `dvc pull`" in missing.stderr
    passed = call(clone, "stillhouse", "plan", "--allow-missing", "mine")
    assert (passed.returncode, passed.stdout) == (0, "nothing is due: 3 stages are up to date\n"), passed.stdout + passed.stderr
    assert "nothing to do: 3 stages" in call(clone, "stillhouse", "run", "--allow-missing", "mine").stdout
    pulled = call(clone, "dvc", "pull", "-q", "--allow-missing")  # no student has been made, so there is no comparison
    assert pulled.returncode == 0, pulled.stderr
    assert call(clone, "stillhouse", "plan", "mine").stdout == "nothing is due: 3 stages are up to date\n"
    assert call(clone, "git", "status", "--porcelain").stdout == ""
    commit = call(clone, "git", "rev-parse", "HEAD").stdout[:10]
    assert f"teach@mine, no run, commit {commit}" in call(clone, "stillhouse", "lineage", "mine").stdout


def test_a_changed_picture_makes_what_reads_it_due(call, clone):
    call(clone, "dvc", "pull", "-q", "--allow-missing")
    (clone / "data/raw/pictures/left/0.png").unlink()
    planned = call(clone, "stillhouse", "plan", "mine")
    assert planned.returncode == 3, planned.stderr
    states = {line.split()[0]: line.split()[1] for line in planned.stdout.splitlines() if "@" in line.split()[0]}
    assert states == {"prepare@mine": "due", "teach@mine": "maybe"}
