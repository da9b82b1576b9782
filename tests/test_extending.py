"""docs/extending.md as it is printed: in a project's `parts/`, where nothing else is edited, and as an installed package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
BLOCKS = dict(re.findall(r"\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)```\n", (ROOT / "docs/extending.md").read_text(), re.DOTALL))
PARTS = {path: text for path, text in BLOCKS.items() if path.startswith("parts/")}
FAMILY_TESTS = ("losses/test_family.py", "searches/test_family.py", "evaluations/test_family.py", "workloads/test_families.py")
ASKING = """
import sys, json, mlflow
from pathlib import Path
from stillhouse.serving import package
package.save(Path("data/digits/teacher"), Path("packed"))
found = {}
for name, place in {"digits": "packed", "half": "models:/half/1"}.items():
    model = mlflow.pyfunc.load_model(place)
    folder = Path(mlflow.artifacts.download_artifacts(place)) if ":" in place else Path(place)
    requirements = (folder / "requirements.txt").read_text().split()
    code = [str(path.relative_to(folder / "code")) for path in (folder / "code").rglob("*.py")]
    found[name] = {"rows": len(model.predict(model.input_example)), "requirements": requirements, "code": code}
print(json.dumps(found))
"""
Call = Callable[..., str]


def call(python: Path | str, *arguments: str) -> str:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configure(project: Path) -> None:
    """The printed params.yaml, and the data that it names."""
    (project / "params.yaml").write_text(BLOCKS["params.yaml"])
    (project / "data/raw/digits.json").write_text((ROOT / "data/raw/digits.json").read_text())
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).tolist()
    rows = [f"{x},{y},{int(x * y > 0)}" for x, y in points]
    (project / "data/raw/points.csv").write_text("\n".join(["x,y,class", *rows]) + "\n")


def use_all(project: Path, python: Path | str) -> dict[str, dict[str, list[str]]]:
    """All verbs by DVC, then `predict` of a student and of a teacher as a package, and both as MLflow loads them."""
    call(python, "-m", "dvc", "repro")
    call(python, "-m", "stillhouse.tracking", "sync")
    metrics = json.loads((project / "data/reports/half.json").read_text())
    assert 0.5 <= metrics["student_confidence"] <= 1
    (project / "rows.csv").write_text("x,y\n1.0,1.0\n-1.0,1.0\n")
    call(python, "-m", "stillhouse", "predict", "half", "rows.csv", "answers.parquet")
    found = json.loads(call(python, "-c", ASKING).splitlines()[-1])
    assert all(model["rows"] > 0 for model in found.values())
    return found


def changed() -> set[str]:
    """Files that git shows as changed or new."""
    lines = subprocess.run(["git", "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line[3:] for line in lines}


def test_each_part_is_one_file_or_folder_of_the_project(project: Path):
    for path, text in PARTS.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    configure(project)
    assert changed() == {*PARTS, "params.yaml", "data/raw/digits.json", "data/raw/points.csv"}
    found = use_all(project, sys.executable)
    assert "parts/families/classify/perceptron.py" in found["digits"]["code"]
    assert "parts/workloads/points/families/layers.py" in found["half"]["code"]


def test_the_family_tests_run_on_them_by_themselves(tmp_path: Path):
    for path, text in PARTS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *(f"tests/{file}" for file in FAMILY_TESTS)]
    names = ["-k", "absolute or importance or confidence or perceptron"]
    done = subprocess.run(
        [*command, *names], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    for file, name in zip(FAMILY_TESTS, ("absolute", "importance", "confidence", "perceptron"), strict=True):
        assert re.search(rf"PASSED tests/{file}::.*{name}", done.stdout), done.stdout[-3000:]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment, in which the package of docs/extending.md is built and installed."""
    folder = tmp_path_factory.mktemp("package")
    for path, text in BLOCKS.items():
        if path.startswith("parts/") or path == "pyproject.toml":
            file = folder / "source" / path.replace("parts/", "stillhouse_example/", 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    for inner in [place for place in (folder / "source/stillhouse_example").rglob("*") if place.is_dir()]:
        (inner / "__init__.py").touch()
    (folder / "source/stillhouse_example/__init__.py").touch()
    call(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    here = next(place for place in sys.path if place.endswith("site-packages"))
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n{ROOT}\n")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    call(folder / "venv/bin/python", "-m", "pip", "install", *offline, str(folder / "source"))
    return folder / "venv/bin/python"


def test_a_package_brings_them_all_and_no_file_of_the_project_is_touched(project: Path, python: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    configure(project)
    assert changed() == {"params.yaml", "data/raw/digits.json", "data/raw/points.csv"}
    found = use_all(project, python)
    for model in found.values():
        assert "stillhouse-example==1.2.3" in model["requirements"]
        assert not [path for path in model["code"] if "example" in path or path.startswith("parts")]
        assert "stillhouse/training/table.py" in model["code"]
