"""The wheel holds stages, flows and the template as real files, under the one name."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(place: Path) -> Path:
    """A wheel of a copy of this repository, in the folder `place`."""
    source = place / "source"
    for folder in ("stillhouse", "stages", "flows", "benchmarks", "parts", "data/raw", "docs/examples", ".dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "results", "cache", "tmp")
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(place), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel"))) as content:
        return set(content.namelist())


def test_nothing_lies_at_top_level_but_the_library(names):
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"stillhouse"}


def test_every_module_and_the_whole_template_are_in_it(names):
    library = ROOT / "stillhouse"
    linked = {f"stillhouse/{folder}/{file.name}" for folder in ("stages", "flows") for file in (ROOT / folder).glob("*.py")}
    modules = {str(file.relative_to(ROOT)) for file in library.rglob("*.py")}
    template = {str(file.relative_to(ROOT)) for file in (library / "project/template").rglob("*") if file.is_file()}
    assert linked | modules | template <= names
