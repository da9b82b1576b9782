"""Imports go one way: what each layer may import, read off the source."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PARTS = ("workloads", "searches", "losses")
VERBS = ("prepare", "teach", "search", "distill", "evaluate", "compare")
FILES = sorted(path for folder in ("flows", "stages") for path in (ROOT / folder).rglob("*.py"))
ONLY = {
    "prefect": {"flows"},
    "mlflow": {"stages/track", "stages/package.py", "stages/register.py"},
    "pandas": {"stages/flavour.py"},
    "dvc": {"flows/graph.py", "flows/zombies.py", "stages/fingerprint.py"},
    "typer": {"flows/__main__.py", "flows/commands"},
    "pykeen": set(),
    "libpysal": set(),
    "sklearn": set(),
}


def modules(file: Path) -> Iterator[str]:
    """The absolute name of everything that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(file.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            base = ".".join(filter(None, [package, node.module or ""]))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of some packages or lies in it."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def foreign(file: Path, *allowed: str) -> list[str]:
    """The modules of ours that a file imports and may not."""
    return [name for name in modules(file) if within(name, "stages", "flows", "tests", "benchmarks") and not within(name, *allowed)]


def test_flows_and_stages_meet_in_dvc_yaml_alone():
    assert {str(file): found for file in FILES if "flows" in file.relative_to(ROOT).parts[:1] and (found := foreign(file, "flows"))} == {}
    assert {str(file): found for file in FILES if "stages" in file.relative_to(ROOT).parts[:1] and (found := foreign(file, "stages"))} == {}


def test_the_core_imports_nothing_else_of_ours():
    assert {str(file): found for file in (ROOT / "stages/core").rglob("*.py") if (found := foreign(file, "stages.core"))} == {}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_imports_the_core_alone(verb):
    assert foreign(ROOT / "stages" / f"{verb}.py", "stages.core") == []


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_imports_the_core_and_its_own_folder(kind):
    wrong = {}
    for file in (ROOT / "stages" / kind).rglob("*.py"):
        own = ".".join(file.relative_to(ROOT).parts[:3]) if kind == "workloads" else "stages.core"
        if found := foreign(file, "stages.core", own):
            wrong[str(file)] = found
    assert wrong == {}


def test_only_the_door_turns_names_into_parts():
    users = {file.relative_to(ROOT).as_posix() for file in FILES for name in modules(file) if within(name, "stages.find")}
    assert users <= {"stages/params.py", "stages/work.py", "stages/__main__.py", "stages/answer.py"}


@pytest.mark.parametrize("package", ONLY)
def test_a_tool_is_imported_in_its_own_place_alone(package):
    users = {file.relative_to(ROOT) for file in FILES for name in modules(file) if within(name, package)}
    strangers = [str(user) for user in users if not any(user.is_relative_to(place) for place in ONLY[package])]
    assert strangers == []
    assert users or not ONLY[package]


def test_what_is_imported_is_declared():
    """A package that comes by way of another one can be gone tomorrow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    providers = packages_distributions()
    used = {name.partition(".")[0] for file in FILES for name in modules(file)} - {*sys.stdlib_module_names, "stages", "flows"}
    assert {name for name in used if not declared & {canonicalize_name(each) for each in providers.get(name, [])}} == set()


def test_a_relative_import_is_read_as_an_absolute_one():
    assert "tests.tiny.toy.network.Network" in set(modules(ROOT / "tests/tiny/toy/__init__.py"))
